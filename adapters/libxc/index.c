/* The index file: one `key<TAB>value...` per line (written by xcnet/native.py).

   Parsed in place: the records point into the file's text. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

enum { MAX_INDEX_BYTES = 1 << 24 };

static struct index_file *files; /* every index read; guarded by the lock */

/* Undoes \\, \t and \n in place. */
static bool unescape(char *field)
{
    char *out = field;
    for (char *in = field; *in; in++) {
        if (*in == '\\') {
            in++;
            if (*in != '\\' && *in != 't' && *in != 'n')
                return false;
            *out++ = *in == 't' ? '\t' : *in == 'n' ? '\n' : '\\';
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
    return true;
}

static bool split(struct parser *parser, char *line)
{
    parser->count = 0;
    for (char *field = line; field;) {
        if (parser->count == MAX_FIELDS)
            return refuse(parser, "too many fields");
        parser->fields[parser->count++] = strsep(&field, "\t");
    }
    for (int i = 0; i < parser->count; i++)
        if (!unescape(parser->fields[i]))
            return refuse(parser, "a backslash that is not \\\\, \\t or \\n");
    return true;
}

static int count_functionals(const char *text)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, "\nfunctional\t")); at++)
        count++;
    return count;
}

static bool parse(struct parser *parser, const char *title)
{
    char *rest = parser->file->text;
    parser->line = 1;
    const char *first = strsep(&rest, "\n");
    if (strcmp(first, title) != 0)
        return refuse(parser, "not an index that this version of xcnet reads");
    for (char *line; (line = strsep(&rest, "\n"));) {
        parser->line++;
        if (!line[0])
            continue;
        if (!split(parser, line) || !read_line(parser))
            return false;
    }
    return true;
}

static struct index_file *parse_file(const char *path, char *text, const char *sha256)
{
    struct index_file *file = calloc(1, sizeof *file);
    size_t count = (size_t)count_functionals(text);
    struct record *records = calloc(count ? count : 1, sizeof *records);
    if (file && records) {
        *file = (struct index_file){.text = text, .records = records};
        snprintf(file->sha256, sizeof file->sha256, "%s", sha256);
        struct parser parser = {.file = file, .path = path};
        if (parse(&parser, "xcnet-index\t1") && finish_functional(&parser))
            return file;
    }
    free(records);
    free(file);
    return NULL;
}

const struct index_file *index_read(const char *path)
{
    size_t size;
    char sha256[65], *text = read_file(path, MAX_INDEX_BYTES, &size, "index");
    if (!text)
        return NULL;
    if (strlen(text) != size) {
        fail("index %s is not a text file", path);
        free(text);
        return NULL;
    }
    sha256_hex((unsigned char *)text, size, sha256);
    struct index_file *file;
    for (file = files; file && strcmp(file->sha256, sha256) != 0;)
        file = file->next;
    if (file) {
        free(text);
        return file;
    }
    file = parse_file(path, text, sha256);
    if (!file) {
        free(text);
        return NULL;
    }
    file->next = files;
    files = file;
    return file;
}

/* The text stays: the models' names are in it. */
bool graphs_read(struct record *record)
{
    size_t size;
    char *text = read_file(record->graphs_file, MAX_INDEX_BYTES, &size, "index");
    struct index_file file = {.text = text};
    struct parser parser = {.file = &file, .path = record->graphs_file, .record = record};
    memset(record->models, 0, sizeof record->models);
    memset(record->closed_shell, 0, sizeof record->closed_shell);
    return text && parse(&parser, "xcnet-graphs\t1") && finish_graphs(&parser);
}

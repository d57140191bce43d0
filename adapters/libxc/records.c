/* The facts of a functional, one key per line of the index. */

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

bool refuse(const struct parser *parser, const char *problem)
{
    fail("index %s, line %d: %s", parser->path, parser->line, problem);
    return false;
}

static bool to_int(const char *field, int *value)
{
    char *end;
    long number = strtol(field, &end, 10);
    *value = (int)number;
    return *field && !*end && number >= 0 && number <= INT32_MAX;
}

/* Finite, whatever the host's locale makes of a decimal point. */
static bool to_double(const char *field, double *value)
{
    static locale_t c_locale;
    char *end;
    if (!c_locale)
        c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *value = strtod_l(field, &end, c_locale);
    return *field && !*end && *value - *value == 0.0;
}

/* -- keys of a functional --------------------------------------------------------------------- */

static bool read_number(struct parser *p)
{
    return (to_int(p->fields[1], &p->record->number) && p->record->number > 0) ||
           refuse(p, "not a functional's number");
}

static bool read_kind(struct parser *p)
{
    return (to_int(p->fields[1], &p->record->kind) && p->record->kind <= KIND_KINETIC) ||
           refuse(p, "not one of libxc's kinds");
}

static bool read_family(struct parser *p)
{
    static const int known[] = {FAMILY_LDA, FAMILY_GGA, FAMILY_MGGA,
                                FAMILY_HYB_LDA, FAMILY_HYB_GGA, FAMILY_HYB_MGGA};
    if (to_int(p->fields[1], &p->record->family))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (p->record->family == known[i])
                return true;
    return refuse(p, "not one of libxc's families LDA, GGA, MGGA and their hybrids");
}

static bool read_flags(struct parser *p)
{
    return to_int(p->fields[1], &p->record->flags) || refuse(p, "not a set of libxc's flags");
}

static bool read_alias(struct parser *p)
{
    if (p->record->alias_count == MAX_ALIASES)
        return refuse(p, "too many aliases");
    p->record->aliases[p->record->alias_count++] = p->fields[1];
    return true;
}

static bool read_description(struct parser *p)
{
    p->record->description = p->fields[1];
    return true;
}

static bool read_reference(struct parser *p)
{
    if (p->record->reference_count == MAX_REFERENCES)
        return refuse(p, "more references than libxc has room for");
    p->record->references[p->record->reference_count++] =
        (func_reference_type){p->fields[1], p->fields[2], p->fields[3], p->fields[4]};
    return true;
}

static bool read_inputs(struct parser *p)
{
    for (int i = 1; i < p->count; i++) {
        int v = 0;
        while (v < VARIABLES && strcmp(p->fields[i], variable_name(v)) != 0)
            v++;
        if (v < VARIABLES)
            p->record->inputs |= 1u << v;
        else
            return refuse(p, "an input that libxc does not have");
    }
    return true;
}

static bool read_thresholds(struct parser *p)
{
    struct thresholds *t = &p->record->thresholds;
    double *values[4] = {&t->density, &t->zeta, &t->sigma, &t->tau};
    for (int i = 0; i < 4; i++)
        if (!to_double(p->fields[i + 1], values[i]) || *values[i] < 0.0)
            return refuse(p, "a threshold that is not a number, or negative");
    return t->density > 0.0 || refuse(p, "a density threshold that is not positive");
}

static bool read_fhc(struct parser *p)
{
    int on;
    if (!to_int(p->fields[1], &on) || on > 1)
        return refuse(p, "fhc is neither 0 nor 1");
    p->record->enforce_fhc = on == 1;
    return true;
}

static bool read_exchange(struct parser *p)
{
    double *values[4] = {&p->record->exx, &p->record->omega, &p->record->alpha, &p->record->beta};
    for (int i = 0; i < 4; i++)
        if (!to_double(p->fields[i + 1], values[i]))
            return refuse(p, "an exchange parameter that is not a number");
    return true;
}

static bool read_nonlocal(struct parser *p)
{
    p->record->nonlocal_hosts = p->fields[1];
    return true;
}

static bool read_folder(struct parser *p)
{
    p->record->python = &p->file->python;
    p->record->folder = p->fields[1];
    p->record->graphs_file = p->fields[2];
    return p->file->python.executable || refuse(p, "a folder, but no Python to verify it");
}

static bool is_sha256(const char *field)
{
    return strlen(field) == 64 && strspn(field, "0123456789abcdef") == 64;
}

static int count_models(struct model *const models[MAX_ORDER + 1])
{
    int count = 0;
    while (count <= MAX_ORDER && models[count])
        count++;
    return count;
}

static bool read_model(struct parser *p, struct model *models[MAX_ORDER + 1])
{
    static const char *const orders[] = {"exc", "vxc", "fxc", "kxc", "lxc"};
    int order = count_models(models);
    if (order > MAX_ORDER || strcmp(p->fields[1], orders[order]) != 0)
        return refuse(p, "graphs must come in the order exc, vxc, fxc, without a gap");
    if (!is_sha256(p->fields[2]))
        return refuse(p, "not a SHA-256");
    if (p->fields[3][0] != '/')
        return refuse(p, "a graph's path must be absolute");
    const char *tape = NULL, *tape_sha256 = NULL;
    if (p->count > 4) {
        if (p->count != 6 || !is_sha256(p->fields[4]) || p->fields[5][0] != '/')
            return refuse(p, "a tape must have a SHA-256 and an absolute path");
        tape_sha256 = p->fields[4], tape = p->fields[5];
    }
    models[order] = model_find(p->fields[3], p->fields[2], tape, tape_sha256);
    return models[order] || refuse(p, "out of memory");
}

static bool read_graph(struct parser *p)
{
    return read_model(p, p->record->models);
}

static bool read_closed_shell(struct parser *p)
{
    return read_model(p, p->record->closed_shell);
}

static const struct {
    const char *name;
    int least, most; /* values */
    bool needed, repeated;
    bool (*read)(struct parser *);
} KEYS[] = {
    {"number", 1, 1, true, false, read_number},
    {"kind", 1, 1, true, false, read_kind},
    {"family", 1, 1, true, false, read_family},
    {"flags", 1, 1, true, false, read_flags},
    {"alias", 1, 1, false, true, read_alias},
    {"description", 1, 1, true, false, read_description},
    {"reference", 4, 4, false, true, read_reference},
    {"inputs", 1, 5, true, false, read_inputs},
    {"thresholds", 4, 4, true, false, read_thresholds},
    {"fhc", 1, 1, false, false, read_fhc},
    {"exchange", 4, 4, false, false, read_exchange},
    {"nonlocal", 1, 1, false, false, read_nonlocal},
    {"folder", 2, 2, false, false, read_folder},
    {"graph", 3, 5, false, true, read_graph},
    {"closed_shell", 3, 5, false, true, read_closed_shell},
};
enum { KEY_COUNT = sizeof KEYS / sizeof *KEYS };

/* -- functionals ------------------------------------------------------------------------------ */

static int base_family(int family)
{
    return family == FAMILY_HYB_LDA    ? FAMILY_LDA
           : family == FAMILY_HYB_GGA  ? FAMILY_GGA
           : family == FAMILY_HYB_MGGA ? FAMILY_MGGA
                                       : family;
}

static bool inputs_fit(const struct record *record)
{
    unsigned rho = 1u << RHO, sigma = 1u << SIGMA, family = (unsigned)base_family(record->family);
    if (family == FAMILY_MGGA)
        return (record->inputs & (rho | sigma)) == (rho | sigma);
    return record->inputs == (family == FAMILY_LDA ? rho : rho | sigma);
}

bool finish_graphs(struct parser *parser)
{
    struct record *record = parser->record;
    int orders = count_models(record->models), closed = count_models(record->closed_shell);
    if (orders == 0)
        return refuse(parser, "the functional before has no graph");
    if (closed != 0 && closed != orders)
        return refuse(parser, "the functional before has not all graphs for closed shells");
    record->orders = orders;
    return true;
}

bool finish_functional(struct parser *parser)
{
    struct record *record = parser->record;
    if (!record)
        return true;
    char problem[64];
    for (int i = 0; i < KEY_COUNT; i++)
        if (KEYS[i].needed && !(parser->seen & 1u << i)) {
            snprintf(problem, sizeof problem, "the functional before lacks %s", KEYS[i].name);
            return refuse(parser, problem);
        }
    if (!inputs_fit(record))
        return refuse(parser, "the inputs of the functional before do not fit its family");
    return record->nonlocal_hosts || record->graphs_file || finish_graphs(parser);
}

static bool start_functional(struct parser *parser)
{
    if (!finish_functional(parser))
        return false;
    const char *name = parser->fields[1];
    if (!parser->file->records)
        return refuse(parser, "a functional in the file of another");
    if (!name[0] || strpbrk(name, " \t\n"))
        return refuse(parser, "a functional's name must be one word");
    parser->record = &parser->file->records[parser->file->count++];
    parser->record->name = name;
    parser->seen = 0;
    return true;
}

bool read_line(struct parser *parser)
{
    const char *key = parser->fields[0];
    if (strcmp(key, "functional") == 0 && parser->count == 2)
        return start_functional(parser);
    if (!parser->record) {
        if (strcmp(key, "onnxruntime") == 0 && parser->count == 2) {
            parser->file->onnxruntime = parser->fields[1];
            return true;
        }
        if (strcmp(key, "python") == 0 && parser->count == 3) {
            parser->file->python = (struct python){parser->fields[1], parser->fields[2]};
            return true;
        }
        return (strcmp(key, "version") == 0 && parser->count == 2) ||
               refuse(parser, "expected onnxruntime, python, version or functional");
    }
    for (int i = 0; i < KEY_COUNT; i++)
        if (strcmp(key, KEYS[i].name) == 0) {
            if (parser->count - 1 < KEYS[i].least || parser->count - 1 > KEYS[i].most)
                return refuse(parser, "the wrong number of values");
            if (!KEYS[i].repeated && parser->seen & 1u << i)
                return refuse(parser, "a key that this functional has already");
            parser->seen |= 1u << i;
            return KEYS[i].read(parser);
        }
    return refuse(parser, "an unknown key");
}

/* The functionals in force. */

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

static const struct catalogue empty;
static const struct catalogue *_Atomic current = &empty;
static _Atomic long users;
static pthread_once_t started = PTHREAD_ONCE_INIT;

static int by_number(const void *a, const void *b)
{
    int left = (*(const struct record *const *)a)->number;
    int right = (*(const struct record *const *)b)->number;
    return (left > right) - (left < right);
}

static struct record *find_number(const struct catalogue *c, int number)
{
    for (int i = 0; i < c->count; i++)
        if (c->records[i]->number == number)
            return c->records[i];
    return NULL;
}

/* Next character that counts in a name; as the registry compares, case, '-' and '_' do not. */
static int next_letter(const char **name)
{
    while (**name == '-' || **name == '_')
        ++*name;
    return **name ? tolower((unsigned char)*(*name)++) : '\0';
}

static bool same_name(const char *a, const char *b)
{
    int letter;
    do {
        letter = next_letter(&a);
        if (letter != next_letter(&b))
            return false;
    } while (letter);
    return true;
}

static bool answers_to(const struct record *record, const char *name)
{
    if (same_name(record->name, name))
        return true;
    for (int i = 0; i < record->alias_count; i++)
        if (same_name(record->aliases[i], name))
            return true;
    return false;
}

static const struct record *find_name(const struct catalogue *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (answers_to(c->records[i], name))
            return c->records[i];
    return NULL;
}

static bool same(const struct catalogue *a, const struct catalogue *b)
{
    return a->onnxruntime == b->onnxruntime && a->count == b->count &&
           memcmp(a->records, b->records, (size_t)a->count * sizeof *a->records) == 0;
}

static bool add_all(struct catalogue *made, const struct index_file *file, const char *path)
{
    for (int i = 0; i < file->count; i++) {
        struct record *record = &file->records[i];
        if (find_number(made, record->number) || find_name(made, record->name)) {
            fail("index %s has two functionals with the number or name of %s", path, record->name);
            return false;
        }
        made->records[made->count++] = record;
    }
    return true;
}

/* Functionals in use stay findable: their hosts may open more of them. */
static void keep_former(struct catalogue *made, const struct catalogue *former)
{
    for (int i = 0; i < former->count; i++)
        if (!find_number(made, former->records[i]->number) &&
            !find_name(made, former->records[i]->name))
            made->records[made->count++] = former->records[i];
}

/* Under the lock. */
static int load(const char *path)
{
    const struct index_file *file = index_read(path);
    const struct catalogue *former = atomic_load(&current);
    if (!file)
        return -1;
    size_t room = (size_t)file->count + (size_t)former->count;
    struct catalogue *made = calloc(1, sizeof *made + room * sizeof *made->records);
    if (!made || !add_all(made, file, path)) {
        free(made);
        return -1;
    }
    int count = made->count;
    made->onnxruntime = file->onnxruntime ? file->onnxruntime : former->onnxruntime;
    if (atomic_load(&users))
        keep_former(made, former);
    qsort(made->records, (size_t)made->count, sizeof *made->records, by_number);
    if (same(made, former)) {
        free(made);
    } else {
        made->former = former;
        ort_set_library(made->onnxruntime);
        atomic_store(&current, made);
    }
    return count;
}

static void start(void)
{
    const char *path = getenv("XCNET_INDEX");
    if (path && path[0]) {
        lock();
        load(path);
        unlock();
    }
}

const struct catalogue *catalogue(void)
{
    pthread_once(&started, start);
    return atomic_load_explicit(&current, memory_order_acquire);
}

bool record_is_local(const struct record *record)
{
    if (record->nonlocal_hosts)
        fail("%s is nonlocal: it needs the whole grid, which libxc's interface does not give. It "
             "can be used in %s",
             record->name, record->nonlocal_hosts);
    return !record->nonlocal_hosts;
}

void catalogue_use(int difference)
{
    atomic_fetch_add(&users, difference);
}

EXPORT int xcnet_load_index(const char *path)
{
    catalogue();
    lock();
    int count = path ? load(path) : -1;
    unlock();
    if (!path)
        fail("xcnet_load_index needs the path of an index");
    return count;
}

struct record *record_by_number(int number)
{
    return find_number(catalogue(), number);
}

const struct record *record_by_name(const char *name)
{
    if (strncasecmp(name, "XC_", 3) == 0)
        name += 3;
    return find_name(catalogue(), name);
}

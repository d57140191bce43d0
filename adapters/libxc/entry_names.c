/* libxc's functions that find and list functionals: libxc's own first, then xcnet's. */

#include <string.h>

#include "entry.h"

EXPORT int xc_functional_get_number(const char *name)
{
    const struct record *record = record_by_name(name);
    if (record)
        return record->number;
    HAND_OVER(-1, xc_functional_get_number, name);
}

/* The caller frees the name. */
EXPORT char *xc_functional_get_name(int number)
{
    const struct record *record = record_by_number(number);
    if (record)
        return strdup(record->name);
    HAND_OVER(NULL, xc_functional_get_name, number);
}

EXPORT int xc_family_from_id(int id, int *family, int *number)
{
    const struct catalogue *c = catalogue();
    for (int i = 0; i < c->count; i++)
        if (c->records[i]->number == id) {
            if (family)
                *family = c->records[i]->family;
            if (number)
                *number = i;
            return c->records[i]->family;
        }
    HAND_OVER(FAMILY_UNKNOWN, xc_family_from_id, id, family, number);
}

/* libxc's lists call each other, through imports that may lead here: inside it they are its own. */
static _Thread_local bool inside_libxc;

#define LIBXC_ALONE(statement) \
    do { \
        inside_libxc = true; \
        statement; \
        inside_libxc = false; \
    } while (0)

static const struct catalogue no_records;

static const struct catalogue *listed(void)
{
    return inside_libxc ? &no_records : catalogue();
}

static int libxc_count(const struct host *host)
{
    int count = 0;
    if (REAL(host, xc_number_of_functionals))
        LIBXC_ALONE(count = REAL(host, xc_number_of_functionals)());
    return count;
}

EXPORT int xc_number_of_functionals(void)
{
    const struct host *host = CALLER_HOST;
    return inside_libxc ? REAL(host, xc_number_of_functionals)()
                        : libxc_count(host) + listed()->count;
}

EXPORT int xc_maximum_name_length(void)
{
    const struct host *host = CALLER_HOST;
    const struct catalogue *c = listed();
    int longest = 0;
    if (REAL(host, xc_maximum_name_length))
        LIBXC_ALONE(longest = REAL(host, xc_maximum_name_length)());
    for (int i = 0; i < c->count; i++)
        if ((int)strlen(c->records[i]->name) > longest)
            longest = (int)strlen(c->records[i]->name);
    return longest;
}

static void append_numbers(int *list, const struct host *host)
{
    const struct catalogue *c = catalogue();
    list += libxc_count(host);
    for (int i = 0; i < c->count; i++)
        list[i] = c->records[i]->number;
}

EXPORT void xc_available_functional_numbers(int *list)
{
    const struct host *host = CALLER_HOST;
    if (REAL(host, xc_available_functional_numbers))
        LIBXC_ALONE(REAL(host, xc_available_functional_numbers)(list));
    append_numbers(list, host);
}

EXPORT void xc_available_functional_numbers_by_name(int *list)
{
    const struct host *host = CALLER_HOST;
    if (REAL(host, xc_available_functional_numbers_by_name))
        LIBXC_ALONE(REAL(host, xc_available_functional_numbers_by_name)(list));
    append_numbers(list, host);
}

EXPORT void xc_available_functional_names(char **list)
{
    const struct host *host = CALLER_HOST;
    const struct catalogue *c = catalogue();
    if (REAL(host, xc_available_functional_names))
        LIBXC_ALONE(REAL(host, xc_available_functional_names)(list));
    list += libxc_count(host);
    for (int i = 0; i < c->count; i++)
        strcpy(list[i], c->records[i]->name);
}

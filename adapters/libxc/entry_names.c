/* libxc's functions that find and list functionals: libxc's own first, then xcnet's. */

#include <string.h>

#include "entry.h"

EXPORT int xc_functional_get_number(const char *name)
{
    const struct record *record = record_by_name(name);
    if (record)
        return record_is_local(record) ? record->number : -1;
    HAND_OVER(-1, xc_functional_get_number, name);
}

/* The caller frees the name. */
EXPORT char *xc_functional_get_name(int number)
{
    const struct record *record = record_by_number(number);
    if (record)
        return record_is_local(record) ? strdup(record->name) : NULL;
    HAND_OVER(NULL, xc_functional_get_name, number);
}

EXPORT int xc_family_from_id(int id, int *family, int *number)
{
    const struct catalogue *c = catalogue();
    for (int i = 0; i < c->count; i++)
        if (c->records[i]->number == id) {
            if (!record_is_local(c->records[i]))
                return FAMILY_UNKNOWN;
            if (family)
                *family = c->records[i]->family;
            if (number)
                *number = i;
            return c->records[i]->family;
        }
    HAND_OVER(FAMILY_UNKNOWN, xc_family_from_id, id, family, number);
}

/* libxc's lists call each other, through imports that may lead here: for libxc itself, also for
   one that a program has opened and calls directly, they are libxc's own. Programs initialise
   what is listed, so that what would be refused is not. */
static bool is_listed(const struct record *record)
{
    return !record->nonlocal_hosts;
}

#define LISTED(host) (CALLED_BY(host) ? &no_records : catalogue())

static const struct catalogue no_records;

static int libxc_count(const struct host *host)
{
    __typeof__(&xc_number_of_functionals) real = REAL(host, xc_number_of_functionals);
    return real ? real() : 0;
}

EXPORT int xc_number_of_functionals(void)
{
    const struct host *host = CALLER_HOST;
    const struct catalogue *c = LISTED(host);
    int count = libxc_count(host);
    for (int i = 0; i < c->count; i++)
        count += is_listed(c->records[i]);
    return count;
}

EXPORT int xc_maximum_name_length(void)
{
    const struct host *host = CALLER_HOST;
    const struct catalogue *c = LISTED(host);
    __typeof__(&xc_maximum_name_length) real = REAL(host, xc_maximum_name_length);
    int longest = real ? real() : 0;
    for (int i = 0; i < c->count; i++)
        if ((int)strlen(c->records[i]->name) > longest)
            longest = (int)strlen(c->records[i]->name);
    return longest;
}

#define NUMBERS(name) \
    EXPORT void name(int *list) \
    { \
        const struct host *host = CALLER_HOST; \
        const struct catalogue *c = LISTED(host); \
        __typeof__(&name) real = REAL(host, name); \
        if (real) \
            real(list); \
        list += libxc_count(host); \
        for (int i = 0; i < c->count; i++) \
            if (is_listed(c->records[i])) \
                *list++ = c->records[i]->number; \
    }

NUMBERS(xc_available_functional_numbers)
NUMBERS(xc_available_functional_numbers_by_name)

EXPORT void xc_available_functional_names(char **list)
{
    const struct host *host = CALLER_HOST;
    const struct catalogue *c = LISTED(host);
    __typeof__(&xc_available_functional_names) real = REAL(host, xc_available_functional_names);
    if (real)
        real(list);
    list += libxc_count(host);
    for (int i = 0; i < c->count; i++)
        if (is_listed(c->records[i]))
            strcpy(*list++, c->records[i]->name);
}

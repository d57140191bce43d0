/* Memory of a thread for what it evaluates: kept from call to call, freed when the thread ends. */

#include <pthread.h>
#include <stdlib.h>

#include "internal.h"

enum { ALIGNMENT = 64 };

struct area {
    void *memory;
    size_t size;
};

static pthread_key_t key;
static pthread_once_t made = PTHREAD_ONCE_INIT;
static bool has_key;

static void free_areas(void *argument)
{
    struct area *areas = argument;
    for (int i = 0; i < WORK_AREAS; i++)
        free(areas[i].memory);
    free(areas);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, free_areas) == 0;
}

static struct area *own_areas(void)
{
    static _Thread_local struct area *areas;
    if (areas)
        return areas;
    pthread_once(&made, make_key);
    struct area *found = has_key ? calloc(WORK_AREAS, sizeof *found) : NULL;
    if (found && pthread_setspecific(key, found) != 0) {
        free(found);
        return NULL;
    }
    return areas = found;
}

void *workspace(enum work work, size_t size)
{
    struct area *area = own_areas();
    if (!area)
        return NULL;
    area += work;
    if (size > area->size) {
        free(area->memory);
        area->size = (size + size / 2 + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
        area->memory = aligned_alloc(ALIGNMENT, area->size);
        if (!area->memory)
            area->size = 0;
    }
    return area->memory;
}

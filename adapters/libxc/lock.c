/* The one lock, and what a fork does to it. */

#include <pthread.h>

#include "internal.h"

static pthread_mutex_t the_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

/* The child has one thread, which holds the lock. */
static void in_child(void)
{
    the_lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
}

static void prepare(void)
{
    pthread_atfork(lock, unlock, in_child);
}

void lock(void)
{
    pthread_once(&prepared, prepare);
    pthread_mutex_lock(&the_lock);
}

void unlock(void)
{
    pthread_mutex_unlock(&the_lock);
}

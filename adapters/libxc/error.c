/* The sticky error, and what follows an evaluation that fails. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { LONGEST = 2048 };

static char message[LONGEST]; /* guarded by the lock */
static _Atomic bool stops = true;

/* Keeps and prints the first error; those that follow it before it is cleared are its echoes. */
void fail(const char *format, ...)
{
    lock();
    if (message[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);
        for (char *c = message; *c; c++)
            if (*c == '\n')
                *c = ' ';
        fprintf(stderr, "xcnet: %s\n", message);
    }
    unlock();
}

/* Programs do not ask for errors of an evaluation, which has none in libxc: most are stopped. */
void stop_program(const char *functional)
{
    const char *choice = getenv("XCNET_ON_FAILURE");
    if (!atomic_load(&stops) || (choice && strcmp(choice, "nan") == 0))
        return;
    lock();
    fprintf(stderr,
            "xcnet: %s failed, and the program would go on without its energy: stopped. "
            "XCNET_ON_FAILURE=nan (xcnet exec --on-failure nan) gives NaN instead\n",
            functional);
    abort();
}

EXPORT void xcnet_stop_on_failure(int on)
{
    atomic_store(&stops, on != 0);
}

EXPORT const char *xcnet_last_error(void)
{
    static _Thread_local char copy[LONGEST];
    lock();
    for (size_t i = 0; i < sizeof copy; i++)
        copy[i] = message[i];
    unlock();
    return copy;
}

EXPORT void xcnet_clear_error(void)
{
    lock();
    message[0] = '\0';
    unlock();
}

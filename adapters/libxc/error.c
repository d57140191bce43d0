/* The sticky error. */

#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

enum { LONGEST = 2048 };

static char message[LONGEST]; /* guarded by the lock */

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

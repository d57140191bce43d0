/* Graphs of a functional, verified by Python when the functional is asked for the first time.

   Python keeps what it found in a file whose name stands for everything that it depends on, so
   that only the first program that ever asks waits for it. */

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

/* Without the folder that the program works in, whose files are no modules of ours. */
static char code[] = "import sys\n"
                     "sys.path[:] = [*filter(None, sys.path), sys.argv[1]]\n"
                     "from xcnet.preparation import main\n"
                     "main()\n";
enum { LONGEST = 2048 };

static bool is_hidden(const char *variable)
{
    static const char *const hidden[] = {"LD_PRELOAD=", "XCNET_INDEX="};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (strncmp(variable, hidden[i], strlen(hidden[i])) == 0)
            return true;
    return false;
}

/* The program's environment, without what brings this library (free it). */
static char **environment_of_python(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **variables = calloc(count + 1, sizeof *variables);
    for (size_t i = 0; variables && i < count; i++)
        if (!is_hidden(environ[i]))
            variables[kept++] = environ[i];
    return variables;
}

static int spawn(char *const words[], int output, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    char **variables = environment_of_python();
    int problem = variables ? posix_spawn_file_actions_init(&actions) : ENOMEM;
    if (problem == 0) {
        problem = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (problem == 0)
            problem = posix_spawn_file_actions_adddup2(&actions, output, 1);
        if (problem == 0)
            problem = posix_spawn(child, words[0], &actions, NULL, words, variables);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(variables);
    return problem;
}

/* All that Python prints, until it ends. */
static void listen(int input, char text[LONGEST])
{
    size_t length = 0;
    for (;;) {
        ssize_t n = read(input, text + length, LONGEST - 1 - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    text[length] = '\0';
}

/* Runs Python on the functional's folder; text receives what it has against it. */
static void run_python(const struct record *record, char text[LONGEST])
{
    int ends[2], problem = pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno;
    pid_t child = 0;
    if (problem == 0) {
        char *words[] = {(char *)record->python->executable,
                         "-c",
                         code,
                         (char *)record->python->packages,
                         (char *)record->folder,
                         (char *)record->graphs_file,
                         NULL};
        problem = spawn(words, ends[1], &child);
        close(ends[1]);
        if (problem == 0)
            listen(ends[0], text);
        close(ends[0]);
    }
    if (problem != 0)
        snprintf(text, LONGEST, "%s: its graphs cannot be verified: %s: %s", record->name,
                 record->python->executable, strerror(problem));
    else
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
}

static bool is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

bool record_prepare(struct record *record)
{
    char text[LONGEST] = "";
    if (record->orders > 0)
        return true;
    if (!record->refused && !is_there(record->graphs_file)) {
        run_python(record, text);
        if (!is_there(record->graphs_file))
            record->refused = strdup(text[0] ? text : "its graphs could not be verified");
    }
    if (!record->refused)
        return graphs_read(record);
    fail("%s", record->refused);
    return false;
}

/* A program of its own that uses libxc's interface hard:

     stress threads FUNCTIONAL...  8 threads, 1,000 evaluations: bitwise as one after another
     stress cycles FUNCTIONAL      10,000 times init and end: no memory is lost
     stress fork FUNCTIONAL...     a child of a process whose threads evaluate can do so, too

   Exits with 0, or says what went wrong. Linked to libxc; libxcnet is preloaded. */

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxc_api.h"

enum { THREADS = 8, EVALUATIONS = 1000, POINTS = 250, WIDTH = 1 + 2 + 3 + 2 + 2, MOST = 32 };

#define CHECK(condition, ...) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, __VA_ARGS__); \
            fputc('\n', stderr); \
            _exit(1); \
        } \
    } while (0)

/* One functional of one spin. */
struct open {
    xc_func_type *p;
    int nspin, family;
};

static struct open functionals[MOST];
static int functional_count;

static void open_functional(struct open *open, const char *name, int nspin)
{
    int number = xc_functional_get_number(name);
    CHECK(number > 0, "%s is unknown", name);
    open->p = xc_func_alloc();
    open->nspin = nspin;
    CHECK(xc_func_init(open->p, number, nspin) == 0, "%s cannot be opened", name);
    open->family = xc_func_info_get_family(xc_func_get_info(open->p));
}

static void close_functional(struct open *open)
{
    xc_func_end(open->p);
    xc_func_free(open->p);
}

/* Numbers of a linear congruential generator in (0, 1): the same in every run of one seed. */
static double next(unsigned long *state)
{
    *state = *state * 6364136223846793005ul + 1442695040888963407ul;
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

static void make_densities(unsigned long seed, double *rho, double *sigma, double *tau)
{
    for (int i = 0; i < 2 * POINTS; i++)
        rho[i] = exp(log(1e-14) * next(&seed)) * 5.0;
    for (int i = 0; i < 3 * POINTS; i++)
        sigma[i] = pow(rho[2 * (i / 3)], 8.0 / 3.0) * next(&seed);
    for (int i = 0; i < 2 * POINTS; i++)
        tau[i] = pow(rho[i], 5.0 / 3.0) * (1.0 + next(&seed));
}

/* Evaluation number `task`: its own densities, a functional and one of two points counts. */
static void evaluate(int task, double *out)
{
    const struct open *f = &functionals[task % functional_count];
    double rho[2 * POINTS], sigma[3 * POINTS], tau[2 * POINTS], lapl[2 * POINTS] = {0.0};
    size_t np = task / functional_count % 2 ? POINTS : POINTS - 27;
    make_densities((unsigned long)task, rho, sigma, tau);
    memset(out, 0, POINTS * WIDTH * sizeof *out);
    double *zk = out, *vrho = zk + POINTS, *vsigma = vrho + 2 * POINTS;
    double *vlapl = vsigma + 3 * POINTS, *vtau = vlapl + 2 * POINTS;
    switch (f->family) {
    case FAMILY_LDA: xc_lda_exc_vxc(f->p, np, rho, zk, vrho); break;
    case FAMILY_GGA: xc_gga_exc_vxc(f->p, np, rho, sigma, zk, vrho, vsigma); break;
    default: xc_mgga_exc_vxc(f->p, np, rho, sigma, lapl, tau, zk, vrho, vsigma, vlapl, vtau);
    }
}

static double *expected; /* of all tasks, one after another */

static void compare(int task)
{
    double *out = malloc(POINTS * WIDTH * sizeof *out);
    evaluate(task, out);
    CHECK(memcmp(out, expected + (size_t)task * POINTS * WIDTH, POINTS * WIDTH * sizeof *out) == 0,
          "evaluation %d differs from the serial one", task);
    free(out);
}

static void *work(void *argument)
{
    for (int task = (int)(size_t)argument; task < EVALUATIONS; task += THREADS)
        compare(task);
    return NULL;
}

static void open_all(char **names)
{
    for (; *names; names++)
        for (int nspin = 1; nspin <= 2; nspin++)
            open_functional(&functionals[functional_count++], *names, nspin);
}

static void *open_and_close(void *argument)
{
    struct open f;
    for (char **names = argument; *names; names++) {
        open_functional(&f, *names, 2);
        close_functional(&f);
    }
    return NULL;
}

static void start(pthread_t *threads, void *(*function)(void *), void *argument)
{
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, function, argument ? argument : (void *)i) == 0,
              "no thread");
}

static void join(pthread_t *threads)
{
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void evaluate_all_serially(void)
{
    expected = malloc((size_t)EVALUATIONS * POINTS * WIDTH * sizeof *expected);
    for (int task = 0; task < EVALUATIONS; task++)
        evaluate(task, expected + (size_t)task * POINTS * WIDTH);
}

static void run_threads(char **names)
{
    pthread_t threads[THREADS];
    start(threads, open_and_close, names);
    join(threads);
    open_all(names);
    evaluate_all_serially();
    start(threads, work, NULL);
    join(threads);
    for (int i = 0; i < functional_count; i++)
        close_functional(&functionals[i]);
    free(expected);
}

static void run_cycles(const char *name)
{
    enum { CYCLES = 10000, LOST = 64 * 1024 };
    struct open f;
    double *out = malloc(POINTS * WIDTH * sizeof *out);
    size_t before = 0;
    for (int i = 0; i < 2 * CYCLES; i++) {
        if (i == CYCLES)
            before = mallinfo2().uordblks;
        open_functional(&f, name, 1 + i % 2);
        if (i % 100 == 0) {
            functionals[0] = f;
            functional_count = 1;
            evaluate(i, out);
        }
        close_functional(&f);
    }
    size_t after = mallinfo2().uordblks;
    CHECK(after < before + LOST, "10,000 cycles lost %zu bytes", after - before);
    free(out);
}

static void run_fork(char **names)
{
    pthread_t threads[THREADS];
    open_all(names);
    evaluate_all_serially();
    start(threads, work, NULL);
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            for (int task = 0; task < 20; task++)
                compare(task);
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status),
              "child %d failed: status %d", i, status);
    }
    join(threads);
    free(expected);
}

int main(int argc, char **argv)
{
    CHECK(argc > 2, "usage: stress threads|cycles|fork FUNCTIONAL...");
    if (strcmp(argv[1], "threads") == 0)
        run_threads(argv + 2);
    else if (strcmp(argv[1], "cycles") == 0)
        run_cycles(argv[2]);
    else
        run_fork(argv + 2);
    puts("good");
    return 0;
}

/* Times of NN-metaGGA through libxcnet and of M06-L (exchange and correlation) through libxc, exc
   and vxc, in one program and one thread: `evaluator LIBXC LIBXCNET SPINS N ROUNDS < densities`.

   Densities come as doubles: all rho, then all sigma, then all tau, of POOL points; every call gets
   points that the one before did not have. Prints, per call and in microseconds, the medians of
   both and the median of the ratios of rounds, in which the two take turns. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "xcnet.h"

enum { POOL = 300000, LEAST_POINTS = 20000, MGGA_X_M06_L = 203, MGGA_C_M06_L = 233 };

typedef void *allocate(void);
typedef int initialise(void *, int, int);
typedef int number_of(const char *);
typedef void evaluate(const void *, size_t, const double *, const double *, const double *,
                      const double *, double *, double *, double *, double *, double *);

struct library {
    evaluate *exc_vxc;
    void *functionals[2];
    int count;
};

static double *rho, *sigma, *lapl, *tau, *zk, *vrho, *vsigma, *vlapl, *vtau;

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static void *opened(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return library;
}

static void add(struct library *to, void *library, int number, int spins)
{
    void *functional = ((allocate *)symbol(library, "xc_func_alloc"))();
    if (((initialise *)symbol(library, "xc_func_init"))(functional, number, spins) != 0)
        exit(1);
    to->exc_vxc = (evaluate *)symbol(library, "xc_mgga_exc_vxc");
    to->functionals[to->count++] = functional;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double *array(int width, int is_read)
{
    double *values = calloc((size_t)POOL * (size_t)width, sizeof *values);
    if (!values || (is_read && fread(values, sizeof *values * (size_t)width, POOL, stdin) != POOL))
        exit(1);
    return values;
}

/* Seconds per call. */
static double timed(const struct library *library, size_t n, size_t spins, size_t calls,
                    size_t *first)
{
    size_t ss = spins == 1 ? 1 : 3;
    double start = now();
    for (size_t call = 0; call < calls; call++) {
        *first = *first + 2 * n > POOL ? 0 : *first + n;
        for (int i = 0; i < library->count; i++)
            library->exc_vxc(library->functionals[i], n, rho + *first * spins, sigma + *first * ss,
                             lapl, tau + *first * spins, zk, vrho, vsigma, vlapl, vtau);
    }
    return (now() - start) / (double)calls;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int spins = atoi(argv[3]), sigmas = spins == 1 ? 1 : 3;
    size_t n = (size_t)atol(argv[4]), rounds = (size_t)atol(argv[5]), first = 0;
    void *libxc = opened(argv[1]), *xcnet = opened(argv[2]);
    struct library theirs = {0}, ours = {0};
    add(&theirs, libxc, MGGA_X_M06_L, spins);
    add(&theirs, libxc, MGGA_C_M06_L, spins);
    number_of *number = (number_of *)symbol(xcnet, "xc_functional_get_number");
    add(&ours, xcnet, number("NN-metaGGA"), spins);
    rho = array(spins, 1), sigma = array(sigmas, 1), tau = array(spins, 1);
    lapl = array(spins, 0), zk = array(1, 0), vrho = array(spins, 0), vsigma = array(sigmas, 0);
    vlapl = array(spins, 0), vtau = array(spins, 0);
    size_t calls = n < LEAST_POINTS ? LEAST_POINTS / n : 1;
    double *a = calloc(3 * rounds, sizeof *a), *b = a + rounds, *ratio = b + rounds;
    timed(&theirs, n, (size_t)spins, calls, &first);
    timed(&ours, n, (size_t)spins, calls, &first);
    for (size_t i = 0; i < rounds; i++) {
        a[i] = timed(&ours, n, (size_t)spins, calls, &first);
        b[i] = timed(&theirs, n, (size_t)spins, calls, &first);
        ratio[i] = a[i] / b[i];
    }
    printf("%.6f %.6f %.4f\n", 1e6 * median(a, rounds), 1e6 * median(b, rounds),
           median(ratio, rounds));
    return zk[0] < 0.0 ? 0 : 1;
}

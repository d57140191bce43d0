/* libxc's labels: variables, widths, and for each component its spin channels and the weight
   with which it counts at a closed-shell density (as in xcnet/variables.py). */

#include <pthread.h>

#include "internal.h"

enum { ALL_COLUMNS = 715 }; /* products of up to four of nine components: C(9 + 4, 4) */

static const struct {
    const char *name;
    int width;
    double share; /* of the closed-shell total in one spin-resolved component */
    unsigned channels[3];
} VARIABLE[VARIABLES] = {
    [RHO] = {"rho", 2, 0.5, {1, 2}},
    [SIGMA] = {"sigma", 3, 0.25, {1, 3, 2}},
    [LAPL] = {"lapl", 2, 0.5, {1, 2}},
    [TAU] = {"tau", 2, 0.5, {1, 2}},
};

static struct label_layout layouts[LABELS] = {
#define LABEL_NAME(x) [L_##x] = {.name = #x},
    OUT_all(MGGA, LABEL_NAME)
#undef LABEL_NAME
};
static struct column columns[ALL_COLUMNS];
static struct column *next_column = columns;
static pthread_once_t made = PTHREAD_ONCE_INIT;

/* State of the enumeration of one label's components: the factors so far. */
struct product {
    int component;      /* of the last factor */
    int same_variable;  /* factors of the last one's variable */
    int same_component; /* of those, equal to the last one */
    struct column column;
};

/* Components are the non-decreasing index tuples of each variable, in lexicographic order; one
   stands for as many terms of the chain rule as it has permutations. */
static void add_columns(const int *factors, int order, int position, struct product last)
{
    if (position == order) {
        *next_column++ = last.column;
        return;
    }
    int variable = factors[position];
    bool again = position > 0 && factors[position - 1] == variable;
    for (int i = again ? last.component : 0; i < VARIABLE[variable].width; i++) {
        struct product next = {i, 1, 1, last.column};
        if (again) {
            next.same_variable = last.same_variable + 1;
            next.same_component = i == last.component ? last.same_component + 1 : 1;
        }
        next.column.weight *= VARIABLE[variable].share * next.same_variable / next.same_component;
        next.column.channels |= VARIABLE[variable].channels[i];
        add_columns(factors, order, position + 1, next);
    }
}

static void describe(struct label_layout *layout, const int *factors, int order)
{
    layout->order = order;
    for (int i = 0; i < order; i++)
        layout->variables |= 1u << factors[i];
    layout->columns = next_column;
    add_columns(factors, order, 0, (struct product){.column = {1.0, 0}});
    layout->width = (int)(next_column - layout->columns);
}

/* The labels of one order are the non-decreasing tuples of variables. */
static struct label_layout *add_labels(struct label_layout *next, int *factors, int order, int done)
{
    if (done == order) {
        describe(next, factors, order);
        return next + 1;
    }
    for (int v = done ? factors[done - 1] : 0; v < VARIABLES; v++) {
        factors[done] = v;
        next = add_labels(next, factors, order, done + 1);
    }
    return next;
}

static void make(void)
{
    int factors[MAX_ORDER];
    struct label_layout *next = layouts;
    for (int order = 0; order <= MAX_ORDER; order++)
        next = add_labels(next, factors, order, 0);
}

const struct label_layout *layout_of(int label)
{
    static _Atomic bool ready; /* spares most calls a look at `made` */
    if (!atomic_load_explicit(&ready, memory_order_acquire)) {
        pthread_once(&made, make);
        atomic_store_explicit(&ready, true, memory_order_release);
    }
    return &layouts[label];
}

const char *variable_name(int variable)
{
    return VARIABLE[variable].name;
}

int variable_width(int variable, int nspin)
{
    return nspin == UNPOLARIZED ? 1 : VARIABLE[variable].width;
}

int label_width(int label, int nspin)
{
    return nspin == UNPOLARIZED ? 1 : layout_of(label)->width;
}

bool label_is_written(int label, unsigned inputs)
{
    return !(layout_of(label)->variables & 1u << LAPL) || inputs & 1u << LAPL;
}

void fill_point(double *const *outputs, int label_count, unsigned inputs, int nspin, size_t point,
                double value)
{
    for (int l = 0; l < label_count; l++)
        if (outputs[l] && label_is_written(l, inputs))
            for (size_t c = 0, width = (size_t)label_width(l, nspin); c < width; c++)
                outputs[l][point * width + c] = value;
}

/* What the two halves of the index's parser share. */

#ifndef XCNET_INDEX_H
#define XCNET_INDEX_H

#include "internal.h"

enum { MAX_FIELDS = 8 };

/* What a parser needs: the file so far, and the line it is at. */
struct parser {
    struct index_file *file;
    const char *path;
    int line;
    char *fields[MAX_FIELDS];
    int count;
    struct record *record; /* NULL before the first functional */
    unsigned seen;         /* bit per key of this functional */
};

/* Says what is wrong and where; returns false. */
bool refuse(const struct parser *parser, const char *problem);
/* Reads the fields of one line. */
bool read_line(struct parser *parser);
/* Checks that the last functional is complete. */
bool finish_functional(struct parser *parser);
/* Checks that the functional's graphs are. */
bool finish_graphs(struct parser *parser);

#endif

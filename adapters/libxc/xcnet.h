/* libxcnet: xcnet's functionals behind libxc's C interface.

   The library exports libxc's own entry points (xc_func_init, xc_mgga_exc_vxc, ...): it serves
   xcnet's functionals itself and hands everything else to the libxc of the program that calls.
   A program reaches it by preloading (LD_PRELOAD, index named by XCNET_INDEX; `xcnet exec` does
   it) or because xcnet_patch_object has redirected its imports.

   A failure gives one line on stderr and a sticky error that xcnet_last_error returns. What can
   return a failure does. An evaluation cannot: it stops the program (SIGABRT), since that would go
   on with an energy that lacks a part; or its results are NaN, where XCNET_ON_FAILURE is nan or
   xcnet_stop_on_failure(0) was called by one who looks at the error. */

#ifndef XCNET_H
#define XCNET_H

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the functionals of an index file (xcnet writes it). They replace those of the former
   index, or join them while functionals are in use.
   Returns their number, or -1 (xcnet_last_error). */
int xcnet_load_index(const char *path);

/* Redirects libxc's functions in the imports of the one loaded object whose path contains
   path_part. slots (may be NULL) receives the number of imports that now lead here.
   Returns 0, or -1 when there is no such object, it imports nothing of libxc, or the libxc
   that it uses is not one of versions 5 to 7 (xcnet_last_error). */
int xcnet_patch_object(const char *path_part, int *slots);

/* Undoes xcnet_patch_object. Returns 0, or -1 when the object was not patched. */
int xcnet_unpatch_object(const char *path_part);

/* Whether an evaluation that fails stops the program (at first it does) or gives NaN. */
void xcnet_stop_on_failure(int on);

/* The first error since the last xcnet_clear_error; "" when there is none. The text stays valid
   until the same thread calls again. */
const char *xcnet_last_error(void);
void xcnet_clear_error(void);

/* Points evaluated by graphs of functionals since the library was loaded. */
long xcnet_evaluations(void);

#ifdef __cplusplus
}
#endif

#endif

/* paths.h: where the program's own data are: the model and the queries. */
#ifndef SX_APP_PATHS_H
#define SX_APP_PATHS_H

/* The model directory: `wanted` (--model), else $SPARSEX_MODEL, else model/ in the first data
 * directory that has one. queries/ likewise, without a wish. The data directories are
 * ../share/sparsex seen from the executable (so in an installed tree, and in a build tree, where
 * meson puts a link there), then the configured one. Absolute, for free(); NULL: none is there, or
 * memory is short. */
char *sx_model_directory(const char *wanted);
char *sx_queries_directory(void);

#endif

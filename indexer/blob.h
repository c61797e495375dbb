/* blob.h: is it source? One reason each where it is not, and the class of a file by its path.
 * Looks at bytes and names only. */
#ifndef SX_BLOB_H
#define SX_BLOB_H

#include "indexer/indexer.h"

#define SX_BLOB_MAX_BYTES ((uint64_t)2 << 20) /* larger files are no context */

/* From the path alone: images and archives, lock files, names that hold secrets. */
sx_skip sx_blob_skip_by_path(const char *path);
/* From the path and the whole content, which passed the check above and is not empty. */
sx_skip sx_blob_skip_by_content(const char *path, const uint8_t *bytes, size_t n);

sx_file_class sx_blob_class(const char *path);

#endif

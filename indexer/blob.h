/* blob.h: is it source? One reason each where it is not, and the class of a file by its path.
 * Looks at bytes and names only. */
#ifndef SX_BLOB_H
#define SX_BLOB_H

#include "indexer/indexer.h"

/* Most bytes of a file that is context: 2 MiB, and 128 KiB where the name says that it is data (json, csv,
 * xml, ...): past that, tables and vocabularies would fill the context with what nobody asks about. */
uint64_t sx_blob_max_bytes(const char *path);

/* From the path alone: images and archives, lock files, names that hold secrets. */
sx_skip sx_blob_skip_by_path(const char *path);
/* From the path and the whole content, which passed the check above and is not empty. */
sx_skip sx_blob_skip_by_content(const char *path, const uint8_t *bytes, size_t n);

sx_file_class sx_blob_class(const char *path);

#endif

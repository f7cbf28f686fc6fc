/* Which sites of an executable file are worth patching, remembered for the next process.
 *
 * Images and sites are only ever added, under image_lock, and published by their count.
 */
#include <exo/core.h>

#include "atomic.h"

static bool is_same(const struct exo_image *image, uint64_t device, uint64_t inode,
                    int64_t mtime_ns, uint64_t size)
{
    return image->inode == inode && image->device == device && image->mtime_ns == mtime_ns &&
           image->size == size;
}

struct exo_image *exo_image_find(struct exo_kr *kr, uint64_t device, uint64_t inode,
                                 int64_t mtime_ns, uint64_t size, bool create)
{
    uint32_t count = load_acquire(&kr->image_count);
    for (uint32_t i = 0; i < count; i++)
        if (is_same(&kr->images[i], device, inode, mtime_ns, size))
            return &kr->images[i];
    if (!create)
        return NULL;
    struct exo_image *image = NULL;
    exo_lock_acquire(&kr->image_lock);
    uint32_t i = 0;
    while (i < kr->image_count && !is_same(&kr->images[i], device, inode, mtime_ns, size))
        i++;
    if (i < EXO_IMAGE_COUNT)
        image = &kr->images[i];
    if (image != NULL && i == kr->image_count) {
        image->device = device;
        image->inode = inode;
        image->mtime_ns = mtime_ns;
        image->size = size;
        store_release(&kr->image_count, i + 1);
    }
    exo_lock_release(&kr->image_lock);
    return image;
}

void exo_image_add(struct exo_kr *kr, struct exo_image *image, uint32_t file_offset)
{
    exo_lock_acquire(&kr->image_lock);
    uint32_t count = image->site_count;
    uint32_t i = 0;
    while (i < count && image->sites[i] != file_offset)
        i++;
    if (i == count && count < EXO_IMAGE_SITE_COUNT) {
        image->sites[count] = file_offset;
        store_release(&image->site_count, count + 1);
    }
    exo_lock_release(&kr->image_lock);
}

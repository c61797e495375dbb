/* topk_merge.c: keep the k best blocks while their scores stream by. */
#include "kernels/kernels.h"

SX_DECL_TOPK_MERGE(sx_topk_merge_c)
{
    (void)stream;
    if (k < 1)
        return;
    for (int b = 0; b < n_blocks; b++) {
        int place = k - 1;
        if (!(score[b] > best_score[place])) /* equal: the earlier block stays; NaN never enters */
            continue;
        for (; place > 0 && score[b] > best_score[place - 1]; place--) {
            best_score[place] = best_score[place - 1];
            best_block[place] = best_block[place - 1];
        }
        best_score[place] = score[b];
        best_block[place] = base + b;
    }
}

// BF16 x BF16 -> F32, weights in the tiles of tiled_matmul.cuh, activations as rows.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "tiled_matmul_wgmma.cuh"

TILED_MATMUL(w16a16, BFloat16, 8, 2)
TILED_MATMUL(w16a16, BFloat16, 32, 2)
TILED_MATMUL(w16a16, BFloat16, 64, 2)
TILED_MATMUL(w16a16, BFloat16, 128, 1)
TILED_MATMUL(w16a16, BFloat16, 192, 1)
TILED_MATMUL(w16a16, BFloat16, 256, 1)
#else
#include "tiled_matmul_mma.cuh"

TILED_MATMUL(w16a16, BFloat16, 8, 2)
TILED_MATMUL(w16a16, BFloat16, 32, 2)
TILED_MATMUL(w16a16, BFloat16, 64, 1)
TILED_MATMUL(w16a16, BFloat16, 128, 1)
#endif

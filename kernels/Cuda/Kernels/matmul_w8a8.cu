// INT8 x INT8 -> INT32 and FP8 (e4m3) x FP8 -> F32, with a scale for each row of either. FP8 needs sm_89.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "tiled_matmul_wgmma.cuh"

TILED_MATMUL(s8, S8, 8, 2)
TILED_MATMUL(s8, S8, 32, 2)
TILED_MATMUL(s8, S8, 64, 2)
TILED_MATMUL(s8, S8, 128, 1)
TILED_MATMUL(s8, S8, 256, 1)
TILED_MATMUL(e4m3, E4m3, 8, 2)
TILED_MATMUL(e4m3, E4m3, 32, 2)
TILED_MATMUL(e4m3, E4m3, 64, 2)
TILED_MATMUL(e4m3, E4m3, 128, 1)
TILED_MATMUL(e4m3, E4m3, 192, 1)
#else
#include "tiled_matmul_mma.cuh"

TILED_MATMUL(s8, S8, 8, 2)
TILED_MATMUL(s8, S8, 32, 2)
TILED_MATMUL(s8, S8, 64, 1)
TILED_MATMUL(s8, S8, 128, 1)
#if __CUDA_ARCH__ >= 890
TILED_MATMUL(e4m3, E4m3, 8, 2)
TILED_MATMUL(e4m3, E4m3, 32, 2)
TILED_MATMUL(e4m3, E4m3, 64, 1)
TILED_MATMUL(e4m3, E4m3, 128, 1)
#endif
#endif

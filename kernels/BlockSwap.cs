namespace LlamaServe.Kernels;

/// <summary>Copy of one physical block, in all layers, to the cache's host part or back from it.</summary>
/// <param name="Block">Of <see cref="KvCacheShape.Blocks"/>.</param>
/// <param name="HostBlock">Of <see cref="KvCacheShape.HostBlocks"/>.</param>
/// <param name="ToHost">Whether <paramref name="HostBlock"/> is overwritten; else <paramref name="Block"/> is.</param>
public readonly record struct BlockSwap(int Block, int HostBlock, bool ToHost);

using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>The argument of the sampling kernels, as sampling.cuh lays it out and explains it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SamplingStep
{
    public DevicePtr Logits;
    public DevicePtr Rows;
    public DevicePtr Lists;
    public DevicePtr Results;
    public DevicePtr Chosen;
    public DevicePtr Summaries;
    public DevicePtr Counters;
    public DevicePtr UntouchedKeys;
    public DevicePtr Keys;
    public DevicePtr TopKeys;
    public DevicePtr Sums;
    public DevicePtr Head;
    public int RowStride;
    public int VocabularySize;
    public int Slices;

    /// <summary>1 where rows can be read 16 bytes at a time.</summary>
    public int Aligned;
}

using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>A norm gain or bias as F32 on the device.</summary>
internal sealed class CudaVector : Weight
{
    public unsafe CudaVector(CudaRuntime runtime, ReadOnlySpan<WeightData> parts)
        : base(1, RowDecoder.TotalColumns(parts))
    {
        float[] values = new float[Columns];
        fixed (float* start = values)
        {
            RowDecoder.Decode(parts, start);
        }
        Values = runtime.Memory.Take(ByteLength);
        runtime.Uploads.Upload(runtime.Stream, Values, MemoryMarshal.AsBytes(values.AsSpan()));
    }

    public override long ByteLength => 4L * Columns;

    public DevicePtr Values { get; }

    /// <summary>The memory belongs to the backend's pool.</summary>
    public override void Dispose()
    {
    }
}

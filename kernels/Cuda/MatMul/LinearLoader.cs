using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Packs checkpoint matrices on all of the host's cores and sends them to the device, some MiB at a time.</summary>
/// <param name="pool">Where the weights' memory comes from.</param>
/// <param name="ring">Sends them, in the order of <paramref name="stream"/>.</param>
internal sealed unsafe class LinearLoader(DevicePool pool, UploadRing ring, CudaStream stream) : IDisposable
{
    /// <summary>What is packed at a time, if a block of rows is not larger.</summary>
    private const long StagingBytes = 32 << 20;

    private void* _staging;
    private nuint _stagingBytes;

    /// <param name="parts">At least one; equal column counts. Their memory is free again on return.</param>
    /// <exception cref="CudaUnavailableException">The device has too little memory.</exception>
    public CudaLinear Load(ReadOnlySpan<WeightData> parts)
    {
        List<CudaMatrix> segments = [];
        for (int begin = 0, end; begin < parts.Length; begin = end)
        {
            end = begin + 1;
            while (end < parts.Length && MatMulLayout.Of(parts[end]) == MatMulLayout.Of(parts[begin]))
            {
                end++;
            }
            segments.Add(LoadSegment([.. parts[begin..end]]));
        }
        return new CudaLinear([.. segments]);
    }

    public void Dispose()
    {
        NativeMemory.Free(_staging);
        _staging = null;
    }

    private CudaMatrix LoadSegment(WeightData[] parts)
    {
        int columns = parts[0].Columns, rows = WeightRow.Count(parts), blocks = MatMulLayout.Blocks(rows);
        MatMulLayout layout = MatMulLayout.Of(parts[0]);
        long blockBytes = layout.BlockBytes(columns);
        DevicePtr weights = pool.Take(blocks * blockBytes);
        float[] factors = new float[blocks * MatMulLayout.BlockRows];
        int together = (int)Math.Clamp(StagingBytes / blockBytes, 1, blocks);
        byte* staging = Staging((nuint)(together * blockBytes));
        for (int first = 0; first < blocks; first += together)
        {
            int count = Math.Min(together, blocks - first), from = first;
            Parallel.For(0, count, i =>
            {
                int row = (from + i) * MatMulLayout.BlockRows;
                MatMulPacker.Pack(layout, parts, row, staging + i * blockBytes, factors.AsSpan(row, MatMulLayout.BlockRows));
            });
            for (int i = 0; i < count; i++)
            {
                ring.Upload(stream, weights + (first + i) * blockBytes, new ReadOnlySpan<byte>(staging + i * blockBytes, (int)blockBytes));
            }
        }
        int splits = SplitCount.Choose(blocks, layout.Chunks(columns), stream.Context.Device.MultiprocessorCount);
        return new CudaMatrix(layout, weights, rows, columns, splits, parts[0].Scales == 0 ? default : Upload(factors.AsSpan(0, rows)));
    }

    private DevicePtr Upload(ReadOnlySpan<float> factors)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(factors);
        DevicePtr memory = pool.Take(bytes.Length);
        ring.Upload(stream, memory, bytes);
        return memory;
    }

    private byte* Staging(nuint bytes)
    {
        if (bytes > _stagingBytes)
        {
            _staging = NativeMemory.Realloc(_staging, bytes);
            _stagingBytes = bytes;
        }
        return (byte*)_staging;
    }
}

using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Packs checkpoint matrices on all of the host's cores and sends them to the device, some MiB at a time.</summary>
/// <param name="pool">Where the weights' memory comes from.</param>
/// <param name="ring">Sends them, in the order of <paramref name="stream"/>.</param>
internal sealed unsafe class LinearLoader(DevicePool pool, UploadRing ring, CudaStream stream) : IDisposable
{
    private readonly PackedUpload _upload = new(ring, stream);

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
            segments.Add(LoadSegment(new PackedRows(parts[begin..end])));
        }
        return new CudaLinear([.. segments]);
    }

    /// <summary>Gates and ups in turns.</summary>
    /// <returns>Null where the parts are not all of one layout.</returns>
    /// <exception cref="CudaUnavailableException">The device has too little memory.</exception>
    public CudaLinear? LoadGated(ReadOnlySpan<WeightData> gateParts, ReadOnlySpan<WeightData> upParts)
    {
        foreach (WeightData part in (ReadOnlySpan<WeightData>)[.. gateParts, .. upParts])
        {
            if (MatMulLayout.Of(part) != MatMulLayout.Of(gateParts[0]))
            {
                return null;
            }
        }
        return new CudaLinear([LoadSegment(new PackedRows(gateParts, upParts))]);
    }

    public void Dispose() => _upload.Dispose();

    private CudaMatrix LoadSegment(PackedRows rows)
    {
        WeightData first = rows.First;
        int columns = first.Columns, blocks = MatMulLayout.Blocks(rows.Count);
        MatMulLayout layout = MatMulLayout.Of(first);
        long blockBytes = layout.BlockBytes(columns);
        DevicePtr weights = pool.Take(blocks * blockBytes);
        float[] factors = new float[blocks * MatMulLayout.BlockRows];
        _upload.Run(weights, blocks, blockBytes, (block, to) =>
        {
            int row = block * MatMulLayout.BlockRows;
            MatMulPacker.Pack(layout, rows, row, to, factors.AsSpan(row, MatMulLayout.BlockRows));
        });
        int splits = SplitCount.Choose(blocks, layout.Chunks(columns), stream.Context.Device.MultiprocessorCount);
        return new CudaMatrix(layout, weights, rows.Outputs, columns, splits, first.Scales == 0 ? default : Upload(factors), rows.IsGated);
    }

    private DevicePtr Upload(ReadOnlySpan<float> factors)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(factors);
        DevicePtr memory = pool.Take(bytes.Length);
        ring.Upload(stream, memory, bytes);
        return memory;
    }
}

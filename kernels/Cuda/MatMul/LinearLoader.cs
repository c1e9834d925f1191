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
            segments.Add(LoadSegment([new PackedRows(parts[begin..end])]));
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
        return new CudaLinear([LoadSegment([new PackedRows(gateParts, upParts)])]);
    }

    /// <param name="parts">As many for each expert, expert by expert, of equal shapes and formats.</param>
    /// <exception cref="CudaUnavailableException">The device has too little memory.</exception>
    public CudaExperts LoadExperts(ReadOnlySpan<WeightData> parts, int experts)
    {
        int each = parts.Length / experts;
        List<CudaMatrix> segments = [];
        for (int begin = 0, end; begin < each; begin = end)
        {
            end = begin + 1;
            while (end < each && MatMulLayout.Of(parts[end]) == MatMulLayout.Of(parts[begin]))
            {
                end++;
            }
            PackedRows[] rows = new PackedRows[experts];
            for (int expert = 0; expert < experts; expert++)
            {
                rows[expert] = new PackedRows(parts[(expert * each + begin)..(expert * each + end)]);
            }
            segments.Add(LoadSegment(rows));
        }
        return new CudaExperts([.. segments]);
    }

    public void Dispose() => _upload.Dispose();

    /// <param name="experts">Of one layout and shape, at least one.</param>
    private CudaMatrix LoadSegment(PackedRows[] experts)
    {
        WeightData first = experts[0].First;
        int columns = first.Columns, ownBlocks = MatMulLayout.Blocks(experts[0].Count), blocks = checked(experts.Length * ownBlocks);
        MatMulLayout layout = MatMulLayout.Of(first);
        long blockBytes = layout.BlockBytes(columns);
        DevicePtr weights = pool.Take(blocks * blockBytes);
        float[] factors = new float[blocks * MatMulLayout.BlockRows];
        _upload.Run(weights, blocks, blockBytes, (block, to) =>
        {
            (int expert, int own) = Math.DivRem(block, ownBlocks);
            Span<float> ownFactors = factors.AsSpan(block * MatMulLayout.BlockRows, MatMulLayout.BlockRows);
            MatMulPacker.Pack(layout, experts[expert], own * MatMulLayout.BlockRows, to, ownFactors);
        });
        int splits = SplitCount.Choose(ownBlocks * BusyExperts(experts.Length), layout.Chunks(columns), stream.Context.Device.MultiprocessorCount);
        DevicePtr uploaded = first.Scales == 0 ? default : Upload(factors);
        return new CudaMatrix(layout, weights, experts[0].Outputs, columns, splits, uploaded, experts[0].IsGated, experts.Length);
    }

    /// <summary>How many of a layer's experts one token goes to, as published models have it: 2 of 8 and of 16, 8 of 64 and of 128.</summary>
    private static int BusyExperts(int experts) => experts == 1 ? 1 : experts < 64 ? Math.Min(experts, 2) : 8;

    private DevicePtr Upload(ReadOnlySpan<float> factors)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(factors);
        DevicePtr memory = pool.Take(bytes.Length);
        ring.Upload(stream, memory, bytes);
        return memory;
    }
}

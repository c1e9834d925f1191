using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Packs W8A8 matrices into the tiles of tiled_matmul.cuh on the device.</summary>
/// <param name="architecture">Decides which kernels will read them, and with it the splits.</param>
internal sealed unsafe class TiledLoader(DevicePool pool, UploadRing ring, CudaStream stream, GpuArchitecture architecture) : IDisposable
{
    private const int PartBytes = 16;

    private readonly PackedUpload _upload = new(ring, stream);

    /// <summary>The format of a part on this device, or null where it is not tiled.</summary>
    /// <exception cref="ArgumentException">The device has no kernels for it.</exception>
    public TiledFormat? FormatOf(WeightData part) => TiledFormat.Of(part.Format, architecture);

    /// <param name="parts">Of one tiled format, with equal column counts.</param>
    public TiledMatrix Load(WeightData[] parts)
    {
        TiledFormat format = FormatOf(parts[0])!;
        int columns = parts[0].Columns, chunks = format.Chunks(columns), rowBytes = columns * format.ElementBytes;
        nint[] rows = [.. parts.SelectMany(part => Enumerable.Range(0, part.Rows).Select(row => part.Address + row * (nint)rowBytes))];
        int blocks = TiledFormat.Blocks(rows.Length);
        long blockBytes = (long)chunks * TiledFormat.BlockBytes;
        DevicePtr weights = pool.Take(blocks * blockBytes), scales = pool.Take(sizeof(float) * (long)rows.Length);
        _upload.Run(weights, blocks, blockBytes, (block, to) =>
        {
            int row = Math.Min(block * TiledFormat.BlockRows, rows.Length);
            PackBlock(rows.AsSpan(row, Math.Min(TiledFormat.BlockRows, rows.Length - row)), rowBytes, chunks, to);
        });
        float[] scaleRows = [.. parts.SelectMany(part => new ReadOnlySpan<float>((float*)part.Scales, part.Rows).ToArray())];
        ring.Upload(stream, scales, MemoryMarshal.AsBytes(scaleRows.AsSpan()));
        int apart = architecture == GpuArchitecture.Sm90a ? blocks : blocks / TiledFormat.TileBlocks;
        int splits = SplitCount.Choose(apart, chunks, stream.Context.Device.MultiprocessorCount);
        return new TiledMatrix(format, weights, scales, rows.Length, columns, splits);
    }

    public void Dispose() => _upload.Dispose();

    /// <summary>Up to 64 rows as [chunk][row][128 bytes], the sixteen-byte parts of row r permuted by r &amp; 7; zeros elsewhere.</summary>
    internal static void PackBlock(ReadOnlySpan<nint> rows, int rowBytes, int chunks, byte* block)
    {
        new Span<byte>(block, checked(chunks * TiledFormat.BlockBytes)).Clear();
        for (int row = 0; row < rows.Length; row++)
        {
            byte* source = (byte*)rows[row];
            for (int at = 0; at < rowBytes; at += PartBytes)
            {
                int part = at % TiledFormat.ChunkBytes / PartBytes ^ (row & 7);
                byte* to = block + (long)(at / TiledFormat.ChunkBytes) * TiledFormat.BlockBytes + row * TiledFormat.ChunkBytes + part * PartBytes;
                new ReadOnlySpan<byte>(source + at, Math.Min(PartBytes, rowBytes - at)).CopyTo(new Span<byte>(to, PartBytes));
            }
        }
    }
}

using System.Runtime.InteropServices;
using LlamaServe.Kernels.Cuda.Compilation;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;

namespace LlamaServe.Kernels.Cuda;

/// <summary>Packs BF16 and W8A8 matrices into the tiles of tiled_matmul.cuh on the device.</summary>
/// <param name="architecture">Decides which kernels will read them, and with it the splits.</param>
internal sealed unsafe class TiledLoader(DevicePool pool, UploadRing ring, CudaStream stream, GpuArchitecture architecture) : IDisposable
{
    private const int PartBytes = 16;

    private readonly PackedUpload _upload = new(ring, stream);

    /// <summary>The format of a part on this device, or null where it is not tiled.</summary>
    /// <exception cref="ArgumentException">The device has no kernels for it.</exception>
    public TiledFormat? FormatOf(WeightData part) => TiledFormat.Of(part.Format, architecture);

    /// <param name="rows">Of one tiled format, with equal column counts.</param>
    public TiledMatrix Load(PackedRows rows)
    {
        TiledFormat format = FormatOf(rows.First)!;
        int columns = rows.First.Columns, chunks = format.Chunks(columns), blocks = TiledFormat.Blocks(rows.Count);
        long blockBytes = (long)chunks * TiledFormat.BlockBytes;
        DevicePtr weights = pool.Take(blocks * blockBytes);
        float[] scales = new float[blocks * TiledFormat.BlockRows];
        _upload.Run(weights, blocks, blockBytes, (block, to) =>
        {
            int row = block * TiledFormat.BlockRows;
            PackBlock(format, rows, row, to, scales.AsSpan(row, TiledFormat.BlockRows));
        });
        int apart = architecture == GpuArchitecture.Sm90a ? blocks : blocks / TiledFormat.TileBlocks;
        int splits = SplitCount.Choose(apart, chunks, stream.Context.Device.MultiprocessorCount);
        return new TiledMatrix(format, weights, format.IsQuantized ? Upload(scales) : default, rows.Outputs, columns, splits, rows.IsGated);
    }

    public void Dispose() => _upload.Dispose();

    /// <summary>
    /// 64 rows as [chunk][row][128 bytes], the sixteen-byte parts of row r permuted by r &amp; 7, and their scales; zeros where there
    /// is no row and no column.
    /// </summary>
    private static void PackBlock(TiledFormat format, PackedRows rows, int first, byte* block, Span<float> scales)
    {
        int columns = rows.First.Columns, rowBytes = columns * format.ElementBytes;
        new Span<byte>(block, checked(format.Chunks(columns) * TiledFormat.BlockBytes)).Clear();
        byte[] rounded = new byte[rowBytes];
        for (int row = 0; row < TiledFormat.BlockRows; row++)
        {
            if (rows[first + row] is not { } source)
            {
                continue;
            }
            if (format.IsQuantized)
            {
                scales[row] = ((float*)source.Data.Scales)[source.Index];
            }
            PackRow(Elements(source, rounded), row, block);
        }
    }

    /// <summary>A row's elements in the format that they are packed in.</summary>
    /// <param name="rounded">Room for the BF16 that F32 ones become.</param>
    private static ReadOnlySpan<byte> Elements(WeightRow source, byte[] rounded)
    {
        if (source.Data.Format != WeightFormat.F32)
        {
            return new ReadOnlySpan<byte>(source.Elements, rounded.Length);
        }
        Bf16.Round(new ReadOnlySpan<float>(source.Elements, source.Data.Columns), rounded);
        return rounded;
    }

    private static void PackRow(ReadOnlySpan<byte> source, int row, byte* block)
    {
        for (int at = 0; at < source.Length; at += PartBytes)
        {
            int part = at % TiledFormat.ChunkBytes / PartBytes ^ (row & 7);
            byte* to = block + (long)(at / TiledFormat.ChunkBytes) * TiledFormat.BlockBytes + row * TiledFormat.ChunkBytes + part * PartBytes;
            source.Slice(at, Math.Min(PartBytes, source.Length - at)).CopyTo(new Span<byte>(to, PartBytes));
        }
    }

    private DevicePtr Upload(float[] scales)
    {
        DevicePtr memory = pool.Take(sizeof(float) * (long)scales.Length);
        ring.Upload(stream, memory, MemoryMarshal.AsBytes(scales.AsSpan()));
        return memory;
    }
}

using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Random activations on the device, BF16, N(0, 1).</summary>
internal sealed class DeviceRows : IDisposable
{
    private readonly CudaDeviceVariable<byte> _memory;
    private readonly int _columns;

    public DeviceRows(CudaBackend backend, int rows, int columns)
    {
        _columns = columns;
        _memory = new CudaDeviceVariable<byte>(backend.Runtime.Context, (long)rows * columns * sizeof(ushort));
        // Enough rows to be random; the others repeat them.
        int drawn = Math.Min(rows, 64), rowBytes = columns * sizeof(ushort);
        byte[] packed = new byte[drawn * rowBytes];
        float[] values = new float[columns];
        for (int row = 0; row < drawn; row++)
        {
            NormalNoise.Fill(values, seed: 2, (ulong)row, deviation: 1);
            RowEncoder.Encode(WeightFormat.BF16, values, packed.AsSpan(row * rowBytes));
        }
        for (int row = 0; row < rows; row += drawn)
        {
            int count = Math.Min(drawn, rows - row);
            backend.Runtime.Uploads.Upload(backend.Runtime.Stream, _memory.Pointer + (long)row * rowBytes, packed.AsSpan(0, count * rowBytes));
        }
    }

    /// <summary>The first rows.</summary>
    public Tensor Take(int rows) => new((nint)_memory.Pointer.Address, rows, _columns, _columns, DType.BF16);

    public void Dispose() => _memory.Dispose();
}

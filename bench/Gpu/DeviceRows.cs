using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cuda;
using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Bench.Gpu;

/// <summary>Random activations on the device, N(0, 1).</summary>
internal sealed class DeviceRows : IDisposable
{
    private readonly CudaDeviceVariable<byte> _memory;
    private readonly int _columns;
    private readonly DType _type;

    /// <param name="type">BF16 or F32.</param>
    public DeviceRows(CudaBackend backend, int rows, int columns, DType type = DType.BF16)
    {
        (_columns, _type) = (columns, type);
        _memory = new CudaDeviceVariable<byte>(backend.Runtime.Context, (long)rows * columns * type.Size());
        // Enough rows to be random; the others repeat them.
        int drawn = Math.Min(rows, 64), rowBytes = columns * type.Size();
        byte[] packed = new byte[drawn * rowBytes];
        float[] values = new float[columns];
        for (int row = 0; row < drawn; row++)
        {
            NormalNoise.Fill(values, seed: 2, (ulong)row, deviation: 1);
            RowEncoder.Encode(type == DType.F32 ? WeightFormat.F32 : WeightFormat.BF16, values, packed.AsSpan(row * rowBytes));
        }
        for (int row = 0; row < rows; row += drawn)
        {
            int count = Math.Min(drawn, rows - row);
            backend.Runtime.Uploads.Upload(backend.Runtime.Stream, _memory.Pointer + (long)row * rowBytes, packed.AsSpan(0, count * rowBytes));
        }
    }

    /// <summary>Rows from the first, or from a later one on.</summary>
    public Tensor Take(int rows, int first = 0) =>
        new((nint)_memory.Pointer.Address + (nint)first * _columns * _type.Size(), rows, _columns, _columns, _type);

    public void Dispose() => _memory.Dispose();
}

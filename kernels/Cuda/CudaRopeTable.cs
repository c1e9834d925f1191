using LlamaServe.Kernels.Cuda.Driver;

namespace LlamaServe.Kernels.Cuda;

/// <summary>
/// Cosine and sine of every rotary pair at every position so far, [position][HeadDim / 2] pairs of F32 on the device, computed in
/// double precision on the host.
/// </summary>
internal sealed class CudaRopeTable(CudaRuntime runtime, RopeParameters parameters) : IDisposable
{
    /// <summary>Grows by doubling from here, so that most models never meet a second table.</summary>
    private const int FirstPositions = 4096;

    private CudaDeviceVariable<float>? _memory;
    private int _positions;

    public RopeParameters Parameters { get; } = parameters;

    public DevicePtr Memory => _memory!.Pointer;

    /// <summary>Makes sure that <paramref name="position"/> is there.</summary>
    public void Cover(int position)
    {
        if (position < _positions)
        {
            return;
        }
        int positions = Math.Max(_positions, FirstPositions);
        while (position >= positions)
        {
            positions = checked(2 * positions);
        }
        double[] frequencies = Parameters.InverseFrequencies;
        float[] table = new float[checked(positions * frequencies.Length * 2)];
        for (int p = 0; p < positions; p++)
        {
            for (int i = 0; i < frequencies.Length; i++)
            {
                (double sin, double cos) = Math.SinCos(p * frequencies[i]);
                int at = (p * frequencies.Length + i) * 2;
                table[at] = (float)cos;
                table[at + 1] = (float)sin;
            }
        }
        // Queued work may still read the old table.
        runtime.Stream.Synchronize();
        _memory?.Dispose();
        (_memory, _positions) = (null, 0);
        runtime.AddressesMoved();
        _memory = new CudaDeviceVariable<float>(runtime.Context, table.Length);
        _memory.CopyToDevice(table);
        _positions = positions;
    }

    public void Dispose() => _memory?.Dispose();
}

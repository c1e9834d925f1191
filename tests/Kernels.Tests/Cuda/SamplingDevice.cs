using LlamaServe.Kernels.Cpu;
using LlamaServe.Kernels.Cuda.Driver;
using LlamaServe.Kernels.Cuda.Memory;
using Sample = LlamaServe.Kernels.Cuda.Sample;

namespace LlamaServe.Kernels.Tests.Cuda;

/// <summary>Sampling on a CUDA device, and beside it on the CPU backend.</summary>
internal sealed unsafe class SamplingDevice : IDisposable
{
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly DevicePool _memory;
    private readonly Dictionary<string, CudaModule> _modules = [];
    private readonly Sample _sample;
    private readonly CpuBackend _cpu = new(new CpuBackendOptions { Threads = 1 });

    public SamplingDevice(string kind)
    {
        TestDevice device = TestDevice.Require(kind);
        _context = device.Context;
        _stream = new CudaStream(_context);
        _memory = new DevicePool(_context, 64 << 20);
        _sample = new Sample(_stream, _memory, Load);
        _sample.Reserve(rows: 256, vocabularySize: 20_000);

        CudaKernel Load(string unit, string name)
        {
            CudaModule module = device.Platform.LoadModule(_context, unit);
            _modules.Add(unit, module);
            return module.GetKernel(name);
        }
    }

    /// <summary>Runs rows, <paramref name="padding"/> elements apart, on the device.</summary>
    public SamplingBatch Run(float[] logits, SamplingRow[] rows, int padding = 0)
    {
        _context.SetCurrent();
        int columns = logits.Length / rows.Length, stride = columns + padding;
        float[] padded = new float[rows.Length * stride];
        Array.Fill(padded, float.NaN);
        for (int row = 0; row < rows.Length; row++)
        {
            logits.AsSpan(row * columns, columns).CopyTo(padded.AsSpan(row * stride));
        }
        using CudaDeviceVariable<float> memory = new(_context, padded.Length);
        memory.CopyToDevice(padded);
        SamplingBatch batch = Batch(rows);
        _sample.Run(new Tensor((nint)memory.Pointer.Address, rows.Length, columns, stride, DType.F32), batch);
        return batch;
    }

    /// <summary>Runs rows on both; everything that they ask for must agree, but the last bit of a log-probability.</summary>
    public SamplingBatch RunLikeCpu(float[] logits, SamplingRow[] rows, int padding = 0)
    {
        SamplingBatch actual = Run(logits, rows, padding), expected = Batch(rows);
        fixed (float* address = logits)
        {
            int columns = logits.Length / rows.Length;
            _cpu.Sample(new Tensor((nint)address, rows.Length, columns, columns, DType.F32), expected);
        }
        Assert.That(actual.TokenIds.ToArray(), Is.EqualTo(expected.TokenIds.ToArray()), "token ids");
        for (int i = 0; i < rows.Length; i++)
        {
            Assert.That(actual.TopIds(i).ToArray(), Is.EqualTo(expected.TopIds(i).ToArray()), $"most likely ids of row {i}");
            AssertClose(rows[i].LogProb ? actual.LogProbs[i] : 0, rows[i].LogProb ? expected.LogProbs[i] : 0, i);
            for (int place = 0; place < rows[i].TopLogProbs; place++)
            {
                AssertClose(actual.TopLogProbs(i)[place], expected.TopLogProbs(i)[place], i);
            }
        }
        return actual;
    }

    public void Dispose()
    {
        _context.SetCurrent();
        _sample.Dispose();
        _memory.Dispose();
        foreach (CudaModule module in _modules.Values)
        {
            module.Dispose();
        }
        _stream.Dispose();
        _cpu.Dispose();
    }

    private static SamplingBatch Batch(SamplingRow[] rows)
    {
        SamplingBatch batch = new(rows.Length);
        foreach (SamplingRow row in rows)
        {
            batch.Add(row);
        }
        return batch;
    }

    private static void AssertClose(float actual, float expected, int row)
    {
        bool close = float.IsFinite(expected)
            ? MathF.BitDecrement(expected) <= actual && actual <= MathF.BitIncrement(expected)
            : expected.Equals(actual);
        Assert.That(close, $"log-probability {actual} instead of {expected} in row {row}");
    }
}

using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using LlamaServe.Bench.Models;
using LlamaServe.Kernels;
using LlamaServe.Kernels.Cpu;

namespace LlamaServe.Bench.Micro;

/// <summary>The CPU's sampler on one row of Llama 3's vocabulary, on one thread; logits are N(0, 3²).</summary>
public unsafe class SamplerBenchmarks : CalibratedBenchmarks, IDisposable
{
    private const int Vocabulary = 128_256;
    private const float Deviation = 3;

    private readonly CpuBackend _backend = new(new CpuBackendOptions { Threads = 1 });
    private readonly SamplingBatch _batch = new(maxRows: 1);
    private readonly float* _logits = (float*)NativeMemory.AlignedAlloc(Vocabulary * sizeof(float), 64);
    private ulong _counter;

    /// <summary>Draws the logits.</summary>
    public SamplerBenchmarks() => NormalNoise.Fill(new Span<float>(_logits, Vocabulary), seed: 1, stream: 0, Deviation);

    /// <summary>The largest logit.</summary>
    [Benchmark]
    public int Greedy() => Sample(new SamplingRow { Temperature = 0, TopP = 1 });

    /// <summary>A draw from all tokens.</summary>
    [Benchmark]
    public int Temperature() => Sample(new SamplingRow { Temperature = 0.8f, TopP = 1 });

    /// <summary>A draw from the likeliest fifty, as far as they make up 95 %.</summary>
    [Benchmark]
    public int TopKTopP() => Sample(new SamplingRow { Temperature = 0.8f, TopK = 50, TopP = 0.95f });

    /// <summary>A draw from the likeliest that make up 90 %.</summary>
    [Benchmark]
    public int TopP() => Sample(new SamplingRow { Temperature = 0.8f, TopP = 0.9f });

    /// <summary>The largest logit and the log-probabilities of the twenty likeliest tokens.</summary>
    [Benchmark]
    public int LogProbs() =>
        Sample(new SamplingRow { Temperature = 0, TopP = 1, LogProb = true, TopLogProbs = SamplingBatch.MaxTopLogProbs });

    /// <summary>Frees the logits.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        _backend.Dispose();
        NativeMemory.AlignedFree(_logits);
        GC.SuppressFinalize(this);
    }

    private int Sample(SamplingRow row)
    {
        row.RepetitionPenalty = 1;
        row.TargetId = -1;
        row.Seed = 1;
        row.Counter = _counter++;
        _batch.Clear();
        _batch.Add(row);
        _backend.Sample(new Tensor((nint)_logits, 1, Vocabulary, Vocabulary, DType.F32), _batch);
        return _batch.TokenIds[0];
    }
}

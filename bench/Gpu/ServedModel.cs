using System.Diagnostics;
using LlamaServe.Engine;
using LlamaServe.Engine.Requests;
using LlamaServe.Kernels.Cuda;

namespace LlamaServe.Bench.Gpu;

/// <summary>A random model in the engine as it ships, sized for one kind of request.</summary>
internal sealed class ServedModel : IAsyncDisposable
{
    /// <summary>What kernels, plans and the driver take beside weights, cache and activations.</summary>
    private const long OtherBytes = 3L << 30;

    private readonly LlamaEngine _engine;
    private readonly ModelCase _case;

    private ServedModel(LlamaEngine engine, ModelCase modelCase, int places)
    {
        _engine = engine;
        _case = modelCase;
        Places = places;
    }

    /// <summary>Sequences at a time that the device has room for.</summary>
    public int Places { get; }

    /// <param name="deviceBytes">Memory of the device.</param>
    public static async Task<ServedModel> StartAsync(GpuOptions options, ModelCase modelCase, long deviceBytes)
    {
        int length = modelCase.PromptTokens + modelCase.NewTokens;
        double average = modelCase.PromptTokens + modelCase.NewTokens / 2.0;
        long kvTokenBytes = modelCase.Model.KvTokenBytes(modelCase.KvType);
        long reserved = ActivationBytes(modelCase) + OtherBytes / 2;
        double free = options.Tiny ? 64 << 20 : deviceBytes - 1.03 * modelCase.WeightBytes - reserved - OtherBytes;
        int places = (int)Math.Clamp(0.97 * free / kvTokenBytes / average, 1, modelCase.MostPlaces);
        EngineOptions engineOptions = new()
        {
            TokenBudget = modelCase.TokenBudget,
            MaxSequences = places,
            StepTimeTarget = TimeSpan.Zero,
            MinPrefillTokens = modelCase.TokenBudget,
            PrefixCaching = false,
            KvCacheType = modelCase.KvType,
            KvCacheBytes = (long)Math.Min(free, (double)kvTokenBytes * places * (length + 16)),
            MaxContextLength = length + 1,
            MaxRequests = 1 << 14,
            MaxRequestsPerTenant = 1 << 14,
            MaxHostBytes = 16L << 30,
            StepTimeout = TimeSpan.FromMinutes(2),
        };
        LlamaEngine engine = new(
            () => RandomDecoder.Load(
                modelCase.Model, modelCase.Format, modelCase.GroupSize,
                new CudaBackend(new CudaBackendOptions
                {
                    Emulated = options.IsEmulated,
                    Ordinal = options.Ordinal,
                    ReservedBytes = reserved,
                    ProgrammaticLaunches = modelCase.ProgrammaticLaunches,
                    Warn = Console.WriteLine,
                })),
            engineOptions);
        try
        {
            await engine.StartAsync();
        }
        catch
        {
            await engine.DisposeAsync();
            throw;
        }
        return new ServedModel(engine, modelCase, places);
    }

    /// <summary>Many requests, for as long as <paramref name="window"/>.</summary>
    public Task<ServingMeasure> ServeAsync(TimeSpan window, TimeSpan patience) =>
        new ServingLoad(_engine, _case.PromptTokens, _case.NewTokens, Places, _case.Model.Shape.Vocabulary).MeasureAsync(window, patience);

    /// <summary>Tokens a second of one request alone, from its first new token to its last; the better of two.</summary>
    public async Task<double> DecodeAsync()
    {
        double best = 0;
        for (int i = 0; i < 2; i++)
        {
            long first = 0, last = 0;
            int tokens = 0;
            GenerationRequest request = new()
            {
                PromptTokenIds = Enumerable.Range(0, _case.PromptTokens).Select(id => id + 259).ToArray(),
                Sampling = SamplingParameters.Greedy,
                MaxTokens = _case.NewTokens,
                IgnoreEos = true,
                ReturnText = false,
            };
            await foreach (GeneratedToken token in _engine.GenerateAsync(request))
            {
                last = Stopwatch.GetTimestamp();
                first = first == 0 ? last : first;
                tokens += token.TokenId >= 0 ? 1 : 0;
            }
            if (tokens != _case.NewTokens)
            {
                throw new InvalidOperationException($"{tokens} of {_case.NewTokens} tokens came");
            }
            best = Math.Max(best, (tokens - 1) / Stopwatch.GetElapsedTime(first, last).TotalSeconds);
        }
        return best;
    }

    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    /// <summary>The step arena's two layers and its logits.</summary>
    private static long ActivationBytes(ModelCase modelCase)
    {
        int widest = modelCase.Model.Matrices.Max(matrix => matrix.Rows);
        return 2L * (12L * modelCase.TokenBudget * widest + 4L * (modelCase.MostPlaces + 64) * modelCase.Model.Shape.Vocabulary);
    }
}

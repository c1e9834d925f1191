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
            Options(modelCase, places, (long)Math.Min(free, (double)kvTokenBytes * places * (length + 16))));
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

    /// <summary>Requests that are replaced when they end, by each of the case's numbers at a time that there is room for.</summary>
    public Task ServeAsync(TimeSpan window, TimeSpan patience, Action<int, ServingMeasure> measured) =>
        Load.MeasureAsync(_case.Batches.Select(batch => Math.Min(batch, Places)).Distinct(), window, patience, measured);

    /// <summary>Tokens a second of so many requests that come at once, to the last one's last token.</summary>
    public Task<double> RunAllAsync(int requests, TimeSpan patience) => Load.RunAllAsync(requests, patience);

    /// <summary>Tokens a second of one request alone, from its first new token to its last; the median of three.</summary>
    public async Task<double> DecodeAsync()
    {
        double[] rates = new double[3];
        for (int i = 0; i < rates.Length; i++)
        {
            rates[i] = await DecodeOnceAsync();
        }
        Array.Sort(rates);
        return rates[rates.Length / 2];
    }

    private ServingLoad Load => new(_engine, _case.PromptTokens, _case.NewTokens, _case.Model.Shape.Vocabulary);

    private async Task<double> DecodeOnceAsync()
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
        return tokens == _case.NewTokens
            ? (tokens - 1) / Stopwatch.GetElapsedTime(first, last).TotalSeconds
            : throw new InvalidOperationException($"{tokens} of {_case.NewTokens} tokens came");
    }

    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    private static EngineOptions Options(ModelCase modelCase, int places, long cacheBytes) => new()
    {
        TokenBudget = modelCase.TokenBudget,
        MaxSequences = places,
        StepTimeTarget = TimeSpan.Zero,
        MinPrefillTokens = modelCase.TokenBudget,
        PrefixCaching = false,
        KvCacheType = modelCase.KvType,
        KvCacheBytes = cacheBytes,
        MaxContextLength = modelCase.PromptTokens + modelCase.NewTokens + 1,
        MaxRequests = 1 << 14,
        MaxRequestsPerTenant = 1 << 14,
        MaxHostBytes = 16L << 30,
        StepTimeout = TimeSpan.FromMinutes(2),
    };

    /// <summary>The step arena's two layers and its logits.</summary>
    private static long ActivationBytes(ModelCase modelCase)
    {
        int widest = modelCase.Model.Matrices.Max(matrix => matrix.Rows);
        return 2L * (12L * modelCase.TokenBudget * widest + 4L * (modelCase.MostPlaces + 64) * modelCase.Model.Shape.Vocabulary);
    }
}

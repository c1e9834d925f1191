using System.CommandLine;
using LlamaServe.Engine;
using LlamaServe.Kernels;

namespace LlamaServe.Server.Commands;

/// <summary>Command-line options for the model and its engine, shared by all commands that load one.</summary>
internal sealed class ModelOptions
{
    private static readonly EngineOptions Defaults = new();

    private readonly Option<string> _model = new("--model", "-m")
    {
        Description = "A Hugging Face snapshot's folder or a GGUF file [default: the bundled model]",
        HelpName = "path",
    };

    private readonly Option<string> _device = new("--device")
    {
        Description = "Where the model runs: auto (today the CPU), cpu, cuda:N, or cuda-emulated (for tests)",
        HelpName = "auto|cpu|cuda:N",
        DefaultValueFactory = _ => "auto",
    };

    private readonly Option<int?> _threads = new("--threads", "-t") { Description = "CPU threads of the model [default: one a core]" };

    private readonly Option<double?> _kvCacheGb = new("--kv-cache-gb")
    {
        Description = "Size of the KV cache in GB [default: what all sequences can fill, at most half of the host's free memory or nearly all of the GPU's]",
    };

    private readonly Option<double> _kvHostGb = new("--kv-host-gb")
    {
        Description = "GB of host memory behind the prefix cache, for prompts whose KV blocks were reused; 0 for none",
        DefaultValueFactory = _ => 0,
    };

    private readonly Option<string> _kvType = Choice(
        "--kv-type", "Element type of the KV cache; auto is bf16. fp8 and int8 are for GPUs, f32 for the CPU", "auto", "bf16", "fp8", "int8", "f32");

    private readonly Option<int> _blockSize = Number("--block-size", "Tokens of a KV block", Defaults.BlockSize);

    private readonly Option<int?> _maxContext = new("--max-context") { Description = "Longest context served, in tokens [default: the model's]" };

    private readonly Option<int> _maxBatchTokens = Number("--max-batch-tokens", "Most tokens that one step computes", Defaults.TokenBudget);

    private readonly Option<int> _maxSequences = Number("--max-sequences", "Most sequences that run at a time", Defaults.MaxSequences);

    private readonly Option<double> _stepTimeTarget = new("--step-time-target")
    {
        Description = "Milliseconds that a step may take while prompts join running streams; 0 for no target",
        DefaultValueFactory = _ => Defaults.StepTimeTarget.TotalMilliseconds,
    };

    private readonly Option<int> _maxRequests = Number("--max-requests", "Most requests in flight, running and waiting", Defaults.MaxRequests);

    private readonly Option<int> _maxRequestsPerTenant =
        Number("--max-requests-per-tenant", "Most requests in flight of one tenant", Defaults.MaxRequestsPerTenant);

    private readonly Option<bool> _noPrefixCache = new("--no-prefix-cache") { Description = "Do not keep computed prompts" };

    public void AddTo(Command command)
    {
        Option[] all =
        [
            _model, _device, _threads, _kvCacheGb, _kvHostGb, _kvType, _blockSize, _maxContext, _maxBatchTokens, _maxSequences,
            _stepTimeTarget, _maxRequests, _maxRequestsPerTenant, _noPrefixCache,
        ];
        foreach (Option option in all)
        {
            command.Options.Add(option);
        }
    }

    /// <exception cref="CommandException">A value is out of range.</exception>
    public ServerOptions Bind(ParseResult line)
    {
        EngineOptions engine = new()
        {
            KvCacheBytes = line.GetValue(_kvCacheGb) is { } gigabytes ? (long)(gigabytes * 1e9) : null,
            KvHostBytes = (long)(line.GetValue(_kvHostGb) * 1e9),
            KvCacheType = KvType(line.GetValue(_kvType)!),
            BlockSize = line.GetValue(_blockSize),
            MaxContextLength = line.GetValue(_maxContext),
            TokenBudget = line.GetValue(_maxBatchTokens),
            MaxSequences = Math.Min(line.GetValue(_maxSequences), line.GetValue(_maxBatchTokens)),
            StepTimeTarget = TimeSpan.FromMilliseconds(line.GetValue(_stepTimeTarget)),
            MaxRequests = line.GetValue(_maxRequests),
            MaxRequestsPerTenant = line.GetValue(_maxRequestsPerTenant),
            PrefixCaching = !line.GetValue(_noPrefixCache),
        };
        Check(engine);
        return new ServerOptions
        {
            ModelPath = line.GetValue(_model) ?? ServerOptions.BundledModelPath,
            Device = Device(line.GetValue(_device)!),
            Threads = line.GetValue(_threads),
            Engine = engine,
        };
    }

    private static DType KvType(string text) => text switch
    {
        "fp8" => DType.Fp8,
        "int8" => DType.Int8,
        "f32" => DType.F32,
        _ => DType.BF16,
    };

    private static BackendChoice Device(string text) => BackendChoice.TryParse(text, out BackendChoice choice)
        ? choice
        : throw new CommandException($"--device takes auto, cpu, cuda, cuda:N or cuda-emulated, not '{text}'", ExitCode.Failed);

    private void Check(EngineOptions engine)
    {
        try
        {
            engine.Validate();
        }
        catch (ArgumentException failure) when (FlagOf(failure.ParamName) is { } flag)
        {
            throw new CommandException(failure.Message.Replace(failure.ParamName!, flag, StringComparison.Ordinal), ExitCode.Failed, failure);
        }
    }

    private string? FlagOf(string? property) => property switch
    {
        nameof(EngineOptions.KvCacheBytes) => _kvCacheGb.Name,
        nameof(EngineOptions.KvHostBytes) => _kvHostGb.Name,
        nameof(EngineOptions.BlockSize) => _blockSize.Name,
        nameof(EngineOptions.MaxContextLength) => _maxContext.Name,
        nameof(EngineOptions.TokenBudget) => _maxBatchTokens.Name,
        nameof(EngineOptions.MaxSequences) => _maxSequences.Name,
        nameof(EngineOptions.StepTimeTarget) => _stepTimeTarget.Name,
        nameof(EngineOptions.MaxRequests) => _maxRequests.Name,
        nameof(EngineOptions.MaxRequestsPerTenant) => _maxRequestsPerTenant.Name,
        _ => null,
    };

    private static Option<int> Number(string name, string description, int value) =>
        new(name) { Description = description, DefaultValueFactory = _ => value };

    private static Option<string> Choice(string name, string description, params string[] values)
    {
        Option<string> option = new(name) { Description = description, DefaultValueFactory = _ => values[0] };
        option.AcceptOnlyFromAmong(values);
        return option;
    }
}

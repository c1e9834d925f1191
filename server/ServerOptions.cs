using System.Net;
using LlamaServe.Engine;
using LlamaServe.Kernels;

namespace LlamaServe.Server;

/// <summary>What a server serves, where, and how it ends. The command line fills it.</summary>
internal sealed record ServerOptions
{
    /// <summary>The model that lies beside the executable.</summary>
    public static string BundledModelPath { get; } = Path.Combine(AppContext.BaseDirectory, "models", "fairytale-5m");

    /// <summary>A snapshot's folder or a GGUF file.</summary>
    public string ModelPath { get; init; } = BundledModelPath;

    /// <summary>What requests call it; null for the name that the model was loaded under.</summary>
    public string? ModelName { get; init; }

    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>gRPC over cleartext HTTP/2; 0 for a free one.</summary>
    public int Port { get; init; } = 50051;

    /// <summary>Metrics and probes over HTTP/1.1; 0 for a free one, null for none.</summary>
    public int? MetricsPort { get; init; } = 50052;

    /// <summary>Where the model runs.</summary>
    public BackendChoice Device { get; init; } = BackendChoice.Auto;

    /// <summary>CPU threads of the model; null for one a core.</summary>
    public int? Threads { get; init; }

    public EngineOptions Engine { get; init; } = new();

    /// <summary>How long new requests are still taken after a signal to stop, with health already NOT_SERVING.</summary>
    public TimeSpan DrainGrace { get; init; } = TimeSpan.Zero;

    /// <summary>How long running requests may take to finish after that.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>The path's last part, for messages.</summary>
    public string ModelFileName => Path.GetFileName(Path.TrimEndingDirectorySeparator(ModelPath));
}

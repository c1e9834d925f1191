using System.Globalization;

namespace LlamaServe.Bench.Gpu;

/// <summary>What <c>gpu</c> does, in this order.</summary>
internal enum GpuStage
{
    Tests,
    Kernels,
    Peers,
    Models,

    /// <summary>The kernels that no goal is about.</summary>
    Others,
}

/// <summary>How <c>gpu</c> runs.</summary>
internal sealed record GpuOptions
{
    private const string EmulatedName = "cuda-emulated";

    /// <summary>cuda, cuda:N or cuda-emulated.</summary>
    public required string Device { get; init; }

    /// <summary>Shrunken shapes and as few repetitions as there can be: for proving the script where there is no GPU.</summary>
    public bool Tiny { get; init; }

    /// <summary>Folder of the results.</summary>
    public required string Output { get; init; }

    public required IReadOnlySet<GpuStage> Stages { get; init; }

    /// <summary>When whatever is left is given up, so that results come before the machine goes.</summary>
    public TimeSpan TimeLimit { get; init; } = TimeSpan.FromMinutes(9);

    /// <summary>How long throughput is measured once it is steady.</summary>
    public TimeSpan Window { get; init; } = TimeSpan.FromSeconds(12);

    public string Python { get; init; } = "python3";

    /// <summary>For a worker, the file that it appends to; null for the run itself.</summary>
    public string? Journal { get; init; }

    /// <summary>Of a worker that has so many minutes.</summary>
    public IReadOnlyList<string> WorkerArguments(GpuStage stage, string journal, TimeSpan left) =>
    [
        "gpu", "--worker", journal, "--device", Device, "--output", Output, "--stages", stage.ToString(),
        "--minutes", left.TotalMinutes.ToString(CultureInfo.InvariantCulture),
        "--window", Window.TotalSeconds.ToString(CultureInfo.InvariantCulture),
        .. Tiny ? ["--tiny"] : Array.Empty<string>(),
    ];

    public bool IsEmulated => Device == EmulatedName;

    /// <summary>The driver's number of the GPU.</summary>
    /// <exception cref="ArgumentException">The device is none.</exception>
    public int Ordinal => Device switch
    {
        "cuda" or EmulatedName => 0,
        _ when Device.StartsWith("cuda:", StringComparison.Ordinal)
            && int.TryParse(Device.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal) => ordinal,
        _ => throw new ArgumentException($"--device is {Device}; it must be cuda, cuda:N or {EmulatedName}."),
    };
}

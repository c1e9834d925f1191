using System.Text.Json;

namespace LlamaServe.Bench.Gate;

/// <summary>What earlier runs reached: for each suite a result.</summary>
internal sealed record Baseline(IReadOnlyDictionary<string, SuiteResult> Suites)
{
    private static readonly JsonSerializerOptions Options = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    public static Baseline Empty { get; } = new(new Dictionary<string, SuiteResult>());

    /// <exception cref="ArgumentException">The file is none of <see cref="Save"/>'s.</exception>
    /// <exception cref="IOException">There is no such file.</exception>
    public static Baseline Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<Baseline>(File.ReadAllText(path), Options) is { Suites: not null } baseline
                ? baseline
                : throw new ArgumentException($"{path} is no baseline");
        }
        catch (JsonException exception)
        {
            throw new ArgumentException($"{path} is no baseline: {exception.Message}", exception);
        }
    }

    /// <summary>This one with other suites in the place of those of the same name.</summary>
    public Baseline With(IEnumerable<SuiteResult> results)
    {
        SortedDictionary<string, SuiteResult> suites = new(Suites.ToDictionary(), StringComparer.Ordinal);
        foreach (SuiteResult result in results)
        {
            suites[result.Suite] = result;
        }

        return new Baseline(suites);
    }

    public void Save(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this, Options) + "\n");
}

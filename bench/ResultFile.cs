using System.Text.Json;
using System.Text.Json.Serialization;
using LlamaServe.Bench.Machine;

namespace LlamaServe.Bench;

/// <summary>Keeps measurements in <c>bench/results</c>, with what is needed to repeat and to judge them.</summary>
internal static class ResultFile
{
    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>Writes <paramref name="measurements"/> as <c>name-date.json</c>.</summary>
    /// <returns>The file's path.</returns>
    public static string Save(string name, MachineLimits? limits, object measurements)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        string path = Path.Combine(Repository.Root, "bench", "results", $"{name}-{now:yyyy-MM-dd}.json");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, JsonSerializer.Serialize(new
        {
            Command = "bench " + string.Join(' ', Environment.GetCommandLineArgs()[1..]),
            Date = now,
            Repository.Commit,
            Machine = MachineDescription.Current,
            Limits = limits,
            Measurements = measurements,
        }, Options) + "\n");
        return path;
    }
}

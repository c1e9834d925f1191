using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using LlamaServe.Bench.Machine;

namespace LlamaServe.Bench;

/// <summary>Keeps measurements in <c>bench/results</c>, with what is needed to repeat and to judge them.</summary>
internal static class ResultFile
{
    /// <summary>Beside a packed program: the commit that it was made from.</summary>
    public const string CommitFile = "commit.txt";

    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>Of a packed program, whose machine has no checkout.</summary>
    private static string? BuildCommit
    {
        get
        {
            string path = Path.Combine(AppContext.BaseDirectory, CommitFile);
            return File.Exists(path) ? File.ReadAllText(path).Trim() : null;
        }
    }

    /// <summary>
    /// Where a result will go: <paramref name="path"/>, or <c>name-date.json</c> in <c>bench/results</c>. To be called before what takes
    /// long, so that no measurement is lost for want of a place to write it to.
    /// </summary>
    /// <exception cref="IOException">It cannot be written there.</exception>
    /// <exception cref="InvalidOperationException">No path is given, and there is no checkout.</exception>
    public static string Reserve(string? path, string name)
    {
        path ??= Path.Combine(Repository.Root, "bench", "results", $"{name}-{DateTimeOffset.UtcNow:yyyy-MM-dd}.json");
        try
        {
            bool isNew = !File.Exists(path);
            File.Open(path, FileMode.OpenOrCreate, FileAccess.Write).Dispose();
            if (isNew)
            {
                File.Delete(path);
            }

            return path;
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw new IOException($"the result cannot be written: {exception.Message}", exception);
        }
    }

    /// <summary>Writes <paramref name="measurements"/> as <c>name-date.json</c>.</summary>
    /// <returns>The file's path.</returns>
    public static string Save(string name, MachineLimits? limits, object measurements) =>
        Write(Path.Combine(Repository.Root, "bench", "results"), name, limits, measurements);

    /// <summary>The same in another folder, also where there is no checkout.</summary>
    /// <returns>The file's path.</returns>
    public static string Write(string folder, string name, MachineLimits? limits, object measurements)
    {
        string path = Path.Combine(folder, $"{name}-{DateTimeOffset.UtcNow:yyyy-MM-dd}.json");
        Directory.CreateDirectory(folder);
        WriteTo(path, measurements, limits);
        return path;
    }

    /// <summary>Fields at the top of a file, where other engines' scripts look for them, with what is needed to repeat the run beside them.</summary>
    public static void WriteFields(string path, JsonObject fields)
    {
        fields["date"] = DateTimeOffset.UtcNow.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
        fields["commit"] = BuildCommit ?? Repository.Commit;
        fields["machine"] = JsonSerializer.SerializeToNode(MachineDescription.Current, Options);
        fields["command"] = CommandLine.Current;
        File.WriteAllText(path, fields.ToJsonString(Options) + "\n");
    }

    /// <summary>The same in a file of any name.</summary>
    public static void WriteTo(string path, object measurements, MachineLimits? limits = null) => File.WriteAllText(
        path,
        JsonSerializer.Serialize(
            new
            {
                Command = CommandLine.Current,
                Date = DateTimeOffset.UtcNow,
                Commit = BuildCommit ?? Repository.Commit,
                Machine = MachineDescription.Current,
                Limits = limits,
                Measurements = measurements,
            },
            Options) + "\n");
}

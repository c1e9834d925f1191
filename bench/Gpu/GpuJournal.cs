using System.Text.Json;
using System.Text.Json.Serialization;

namespace LlamaServe.Bench.Gpu;

/// <summary>
/// What was measured so far, line by line in a file: a worker appends and may end at any moment, and what it wrote is there for the
/// process that watches it and for the worker after it.
/// </summary>
internal sealed class GpuJournal(string path)
{
    private static readonly JsonSerializerOptions Json = new()
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        IgnoreReadOnlyProperties = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
    };

    public string Path => path;

    /// <summary>Whether a row that was added here says that it failed.</summary>
    public bool HasFailures { get; private set; }

    /// <summary>Lines that are whole, in order.</summary>
    public IReadOnlyList<GpuNote> Notes
    {
        get
        {
            if (!File.Exists(path))
            {
                return [];
            }
            string text = File.ReadAllText(path);
            return [.. text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonSerializer.Deserialize<GpuNote>(line, Json)!)];
        }
    }

    /// <summary>The part that was begun and is not done; null for none.</summary>
    public string? Open
    {
        get
        {
            GpuNote? last = Notes.LastOrDefault(note => note.Begun is not null || note.Done is not null);
            return last?.Begun;
        }
    }

    public void Begin(string part) => Write(new GpuNote { Begun = part });

    public void Finish(string part) => Write(new GpuNote { Done = part });

    public void Add(GpuLimits limits) => Write(new GpuNote { Limits = limits });

    public void Add(PeerCase peer) => Write(new GpuNote { Peer = peer });

    public void Add(GpuRow row)
    {
        HasFailures |= row.Note?.StartsWith(GpuRow.Failed, StringComparison.Ordinal) ?? false;
        Write(new GpuNote { Row = row });
    }

    private void Write(GpuNote note) => File.AppendAllText(path, JsonSerializer.Serialize(note, Json) + "\n");
}

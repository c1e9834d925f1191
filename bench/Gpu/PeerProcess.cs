using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;

namespace LlamaServe.Bench.Gpu;

/// <summary>Runs peers.py, which times cuBLAS, PyTorch and transformers on the same device.</summary>
internal static class PeerProcess
{
    private const string Script = "peers.py";

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Seconds by case, or why there are none; missing where there was no time.</summary>
    public static IReadOnlyDictionary<string, PeerSeconds> Run(GpuOptions options, IEnumerable<PeerCase> cases, TimeSpan patience)
    {
        string request = Path.Combine(options.Output, "peer-cases.json"), answer = Path.Combine(options.Output, "peer-seconds.json");
        File.Delete(answer);
        File.WriteAllText(request, JsonSerializer.Serialize(cases.DistinctBy(peer => peer.Id), Json));
        ProcessStartInfo start = new(options.Python, [Path.Combine(AppContext.BaseDirectory, Script), request, answer]);
        try
        {
            using Process process = Process.Start(start)!;
            if (!process.WaitForExit(patience))
            {
                process.Kill(entireProcessTree: true);
                Console.WriteLine($"THE PEERS TOOK LONGER THAN {patience.TotalSeconds:F0} s AND WERE STOPPED: rows may be without them.");
            }
        }
        catch (Win32Exception exception)
        {
            Console.WriteLine($"THERE IS NO PEER TO COMPARE WITH: {options.Python} cannot be started ({exception.Message}).");
        }
        // The script writes it anew after each case, by renaming.
        return File.Exists(answer)
            ? JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(File.ReadAllText(answer))!.ToDictionary(each => each.Key, each => PeerSeconds.Of(each.Value))
            : new Dictionary<string, PeerSeconds>();
    }
}

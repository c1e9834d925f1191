using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;

namespace LlamaServe.Bench.Gpu;

/// <summary>Runs peers.py, which times cuBLAS, PyTorch and transformers on the same device.</summary>
internal static class PeerProcess
{
    private const string Script = "peers.py";

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Seconds by case; a case that failed is missing, and what it said is printed.</summary>
    public static IReadOnlyDictionary<string, double> Run(GpuOptions options, IEnumerable<PeerCase> cases, TimeSpan patience)
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
            ? JsonSerializer.Deserialize<Dictionary<string, double>>(File.ReadAllText(answer))!
            : new Dictionary<string, double>();
    }
}

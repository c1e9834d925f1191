using LlamaServe.Server.Hosting;

namespace LlamaServe.Server.Commands;

/// <summary>What a server prints once it takes requests.</summary>
internal static class ReadyMessage
{
    /// <param name="addresses">gRPC first, then metrics where there are any.</param>
    public static void Write(TextWriter output, HostedModel model, IReadOnlyList<string> addresses)
    {
        output.WriteLine(
            $"Ready: {model.Name} on {model.Device}; context {model.Limits.ContextLength}, KV cache {model.Limits.KvCacheTokens} tokens");
        output.WriteLine($"  gRPC     {addresses[0]} (llamaserve.v1.Generation, health, reflection)");
        if (addresses.Count > 1)
        {
            output.WriteLine($"  metrics  {addresses[1]}/metrics, /healthz, /readyz");
        }
        output.WriteLine($"  try      {ThisCommand()} generate \"Once upon a time\" --address {addresses[0]}");
        output.Flush();
    }

    // How this process was started, as seen from the current folder.
    private static string ThisCommand()
    {
        string process = Environment.ProcessPath ?? "";
        return Path.GetFileNameWithoutExtension(process) == "dotnet"
            ? $"dotnet {Seen(Environment.GetCommandLineArgs()[0])}"
            : Seen(process);

        static string Seen(string path)
        {
            string relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
            return relative.StartsWith("..", StringComparison.Ordinal) ? path : Path.Combine(".", relative);
        }
    }
}

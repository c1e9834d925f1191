using System.CommandLine;

namespace LlamaServe.Bench.Load;

/// <summary><c>serve</c>: load for a running server, ours over gRPC or any over OpenAI's HTTP interface.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        Option<string?> save = new("--save") { Description = "File for the result, with vllm bench serve's field names." };
        Option<bool> detailed = new("--detailed") { Description = "Save every request too." };
        Command command = new("serve", "Load a running server and measure what its clients see.") { save, detailed };
        foreach (Option option in ServeArguments.All)
        {
            command.Add(option);
        }

        command.SetAction(async (parsed, cancellationToken) =>
        {
            ServeOptions options = ServeArguments.Read(parsed);
            string? path = parsed.GetValue(save) is { } file ? ResultFile.Reserve(file, "serve") : null;
            ServeResult result = await ServeRun.RunAsync(options, Console.Out, cancellationToken);
            ServeTable.Write(result, Console.Out);
            if (path is not null)
            {
                ResultFile.WriteFields(path, ServeJson.Of(options, result, parsed.GetValue(detailed)));
            }

            return result.Completed > 0 ? 0 : 1;
        });
        return command;
    }
}

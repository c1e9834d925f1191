using System.CommandLine;

namespace LlamaServe.Server.Commands;

/// <summary>The command line: serve (also when nothing is named) and generate.</summary>
internal static class CommandLine
{
    public static async Task<int> Run(string[] args)
    {
        RootCommand root = new("LlamaServe serves Llama-class models over gRPC.");
        new ServeCommand().AddTo(root);
        Command serve = new("serve", "Serve a model; this is what runs without a command's name");
        new ServeCommand().AddTo(serve);
        Command generate = new("generate", "Continue a text through a server's gRPC port and print the tokens as they come");
        new GenerateCommand().AddTo(generate);
        root.Subcommands.Add(serve);
        root.Subcommands.Add(generate);
        // Signals are the host's: it drains before it ends.
        InvocationConfiguration configuration = new() { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false };
        try
        {
            return await root.Parse(args).InvokeAsync(configuration);
        }
        catch (CommandException failure)
        {
            await Console.Error.WriteLineAsync(failure.Message);
            return failure.ExitCode;
        }
    }
}

using System.CommandLine;
using Grpc.Core;
using Grpc.Net.Client;
using LlamaServe.Server.Hosting;
using LlamaServe.V1;

namespace LlamaServe.Server.Commands;

/// <summary>The example client: continues a text through a real gRPC port, a running server's or one that it opens.</summary>
internal sealed class GenerateCommand
{
    private readonly ModelOptions _model = new();

    private readonly Argument<string> _prompt = new("prompt") { Description = "The text to continue" };

    private readonly Option<string> _address = new("--address", "-a")
    {
        Description = "A running server's URL, e.g. http://127.0.0.1:50051 [default: one is started in this process]",
        HelpName = "url",
    };

    private readonly Option<uint?> _maxTokens = new("--max-tokens", "-n") { Description = "Most new tokens [default: what the context holds]" };

    private readonly Option<float?> _temperature = new("--temperature") { Description = "0 is greedy [default: the model's]" };

    private readonly Option<uint?> _topK = new("--top-k") { Description = "Only this many most likely tokens [default: the model's]" };

    private readonly Option<float?> _topP = new("--top-p") { Description = "Only the most likely tokens up to this probability [default: the model's]" };

    private readonly Option<ulong?> _seed = new("--seed", "-s") { Description = "Same seed, same text [default: drawn]" };

    private readonly Option<string[]> _stop = new("--stop") { Description = "Ends the text; may be given more than once" };

    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object at the end and nothing else" };

    public void AddTo(Command command)
    {
        command.Arguments.Add(_prompt);
        Option[] all = [_address, _maxTokens, _temperature, _topK, _topP, _seed, _stop, _json];
        foreach (Option option in all)
        {
            command.Options.Add(option);
        }
        _model.AddTo(command);
        command.SetAction(Run);
    }

    private async Task<int> Run(ParseResult line, CancellationToken cancellationToken)
    {
        GenerateRequest request = Request(line);
        IGenerationOutput output = line.GetValue(_json) ? new JsonOutput(Console.Out) : new TextOutput(Console.Out, Console.Error);
        if (line.GetValue(_address) is { } address)
        {
            await Generate(address, request, output, cancellationToken);
            return ExitCode.Success;
        }
        ServerOptions options = _model.Bind(line) with { Port = 0, MetricsPort = null, DrainTimeout = TimeSpan.Zero, LogLevel = LogLevel.Warning };
        await using WebApplication app = ServerApplication.Build(options, ModelStarter.Start);
        await ServerLaunch.Open(app, cancellationToken);
        await ServerLaunch.Loaded(app);
        await Generate(ServerApplication.Addresses(app)[0], request, output, app.Lifetime.ApplicationStopping);
        await app.StopAsync(cancellationToken);
        return ExitCode.Success;
    }

    private GenerateRequest Request(ParseResult line)
    {
        SamplingOptions sampling = new();
        if (line.GetValue(_temperature) is { } temperature)
        {
            sampling.Temperature = temperature;
        }
        if (line.GetValue(_topK) is { } topK)
        {
            sampling.TopK = topK;
        }
        if (line.GetValue(_topP) is { } topP)
        {
            sampling.TopP = topP;
        }
        if (line.GetValue(_seed) is { } seed)
        {
            sampling.Seed = seed;
        }
        StoppingOptions stopping = new() { Stop = { line.GetValue(_stop) ?? [] } };
        if (line.GetValue(_maxTokens) is { } maxTokens)
        {
            stopping.MaxTokens = maxTokens;
        }
        return new GenerateRequest
        {
            Text = line.GetRequiredValue(_prompt),
            Sampling = sampling,
            Stopping = stopping,
            Response = line.GetValue(_json) ? new ResponseOptions { Logprobs = 0 } : null,
        };
    }

    private static async Task Generate(string address, GenerateRequest request, IGenerationOutput output, CancellationToken cancellationToken)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? url) || url.Scheme is not ("http" or "https"))
        {
            throw new CommandException($"'{address}' is no URL such as http://127.0.0.1:50051", ExitCode.Failed);
        }
        using GrpcChannel channel = GrpcChannel.ForAddress(url);
        try
        {
            using AsyncServerStreamingCall<GenerateResponse> call =
                new Generation.GenerationClient(channel).Generate(request, cancellationToken: cancellationToken);
            await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync(cancellationToken))
            {
                output.Add(response);
            }
            output.End();
        }
        catch (RpcException failure)
        {
            output.Break();
            throw Explain(failure, address);
        }
    }

    // No connection shows as UNAVAILABLE without the details that this server's own answers carry.
    private static CommandException Explain(RpcException failure, string address)
    {
        bool isUnreachable = failure.StatusCode == StatusCode.Unavailable && failure.GetRpcStatus() is null;
        return isUnreachable
            ? new CommandException($"No server answers at {address}", ExitCode.Unreachable, failure)
            : new CommandException($"The server ended the request with {failure.StatusCode}: {failure.Status.Detail}", ExitCode.Failed, failure);
    }
}

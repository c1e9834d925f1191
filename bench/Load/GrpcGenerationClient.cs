using Grpc.Core;
using Grpc.Net.Client;
using LlamaServe.V1;

namespace LlamaServe.Bench.Load;

/// <summary>Asks through <c>llamaserve.v1</c>, over a few HTTP/2 connections by turns.</summary>
internal sealed class GrpcGenerationClient : IGenerationClient
{
    private readonly GrpcChannel[] _channels;
    private int _next;

    public GrpcGenerationClient(Uri address, int connections) =>
        _channels = [.. Enumerable.Range(0, connections).Select(_ => GrpcChannel.ForAddress(address))];

    /// <summary>What the server says of its model.</summary>
    /// <exception cref="InvalidOperationException">Nobody answers.</exception>
    public async Task<GetModelInfoResponse> GetModelAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await new Generation.GenerationClient(_channels[0]).GetModelInfoAsync(new(), cancellationToken: cancellationToken);
        }
        catch (RpcException exception) when (exception.StatusCode != StatusCode.Cancelled)
        {
            throw new InvalidOperationException($"{_channels[0].Target} does not answer: {exception.Status.Detail}");
        }
    }

    public async Task SendAsync(LoadRequest request, RequestRecord record, CancellationToken cancellationToken)
    {
        GrpcChannel channel = _channels[(uint)Interlocked.Increment(ref _next) % (uint)_channels.Length];
        GenerateRequest message = Message(request);
        record.MarkSent();
        try
        {
            using AsyncServerStreamingCall<GenerateResponse> call =
                new Generation.GenerationClient(channel).Generate(message, cancellationToken: cancellationToken);
            while (await call.ResponseStream.MoveNext(cancellationToken))
            {
                Note(call.ResponseStream.Current, record);
            }

            record.MarkEnded(outputTokens: null);
        }
        catch (RpcException exception)
        {
            cancellationToken.ThrowIfCancellationRequested();
            record.MarkFailed($"{exception.StatusCode}: {exception.Status.Detail}");
        }
    }

    public void Dispose() => Array.ForEach(_channels, channel => channel.Dispose());

    private static GenerateRequest Message(LoadRequest request)
    {
        TokenIds ids = new();
        foreach (int id in request.Prompt)
        {
            ids.Ids.Add((uint)id);
        }

        return new GenerateRequest
        {
            TokenIds = ids,
            Sampling = new SamplingOptions { Temperature = 0 },
            Stopping = new StoppingOptions { MaxTokens = (uint)request.OutputTokens, IgnoreEos = true },
        };
    }

    private static void Note(GenerateResponse response, RequestRecord record)
    {
        if (response.Prompt is { } prompt)
        {
            record.MarkPrompt((int)prompt.PromptTokens, (int)prompt.CachedTokens);
        }

        foreach (Delta delta in response.Deltas)
        {
            if (delta.TokenIds.Count > 0)
            {
                record.MarkPiece(delta.TokenIds.Count, delta.Text);
                record.Answer.AddRange(delta.TokenIds.Select(id => (int)id));
            }
            else
            {
                // Held back until no stop string could begin with it.
                record.AddText(delta.Text);
            }
        }
    }
}

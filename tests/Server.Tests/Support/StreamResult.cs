using Grpc.Core;
using LlamaServe.V1;

namespace LlamaServe.Server.Tests.Support;

/// <summary>All that came over one stream.</summary>
internal sealed class StreamResult
{
    public List<GenerateResponse> Messages { get; } = [];

    /// <summary>How the stream ended; OK has no exception.</summary>
    public RpcException? Failure { get; private set; }

    public StatusCode Status => Failure?.StatusCode ?? StatusCode.OK;

    public PromptInfo Prompt => Messages[0].Prompt;

    public Usage Usage => Messages[^1].Usage;

    public Timings Timings => Messages[^1].Timings;

    public IEnumerable<Delta> Deltas(int sample = 0) => Messages.SelectMany(m => m.Deltas).Where(d => d.Sample == sample);

    public uint[] Ids(int sample = 0) => [.. Deltas(sample).SelectMany(d => d.TokenIds)];

    public string Text(int sample = 0) => string.Concat(Deltas(sample).Select(d => d.Text));

    public Finish Finish(int sample = 0) => Deltas(sample).Single(d => d.Finish is not null).Finish;

    /// <summary>Reads a stream to its end, whatever that is.</summary>
    /// <param name="onMessage">Called after each message.</param>
    public static async Task<StreamResult> Read(AsyncServerStreamingCall<GenerateResponse> call, Action<StreamResult>? onMessage = null)
    {
        StreamResult result = new();
        try
        {
            await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync())
            {
                result.Messages.Add(response);
                onMessage?.Invoke(result);
            }
        }
        catch (RpcException failure)
        {
            result.Failure = failure;
        }
        call.Dispose();
        return result;
    }
}

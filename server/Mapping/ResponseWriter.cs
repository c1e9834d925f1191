using Grpc.Core;
using LlamaServe.V1;
using FinishReason = LlamaServe.Engine.Requests.FinishReason;

namespace LlamaServe.Server.Mapping;

/// <summary>
/// Writes a stream's messages. A client that holds its connection open without reading is given up: the engine has freed its
/// blocks by then, this frees the call.
/// </summary>
/// <param name="patience">How long one message may wait for the client.</param>
internal sealed class ResponseWriter(IServerStreamWriter<GenerateResponse> stream, ServerCallContext context, TimeSpan patience)
{
    /// <summary>Writes one message, which may be reused once this is done.</summary>
    public ValueTask Write(GenerateResponse response)
    {
        Task write = stream.WriteAsync(response);
        return write.IsCompletedSuccessfully ? ValueTask.CompletedTask : Wait(write);
    }

    private async ValueTask Wait(Task write)
    {
        try
        {
            await write.WaitAsync(patience);
        }
        catch (TimeoutException)
        {
            context.GetHttpContext().Abort();
            throw StatusTable.Ended(FinishReason.SlowReader);
        }
    }
}

using LlamaServe.Bench.Peers;
using LlamaServe.Testing;

namespace LlamaServe.Bench.Tests;

public sealed class LlamaCppTests
{
    [TestCase("Once upon a time")]
    [TestCase("Lily and Tom went to the park")]
    [TestCase("Zoom was a fast red car")]
    public async Task A_trained_model_is_continued_exactly_as_llama_cpp_does(string text)
    {
        const int Count = 64;
        string model = Path.Combine(RepositoryPaths.RequireStories(), "stories260K.gguf");
        if (!LlamaCpp.IsInstalled)
        {
            Assert.Ignore("llama.cpp is not installed ('bench agree' or 'bench peers' does it): agreement with it is NOT checked");
        }
        (int[] prompt, Continuation ours) = await AgreeCommand.ContinueAsync(model, text, Count, CancellationToken.None);
        Continuation peer = await LlamaCpp.ContinueAsync(model, prompt, Count, CancellationToken.None);
        Assert.That(ours.TokenIds, Is.EqualTo(peer.TokenIds));
        Assert.That(ours.Text, Is.EqualTo(peer.Text));
    }
}

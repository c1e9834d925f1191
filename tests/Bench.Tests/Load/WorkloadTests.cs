using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Tests.Load;

internal sealed class WorkloadTests
{
    [Test]
    public void Synthetic_prompts_share_their_prefix_and_nothing_else()
    {
        Conversation[] made = [.. new SyntheticWorkload(new(100, 200), new(5, 9), 0.5).Make(50, new TokenSource(10, 5000, 1), new Random(1))];

        foreach (Conversation conversation in made)
        {
            int[] prompt = conversation.Turns.Single().Input;
            Assert.That(prompt, Has.Length.InRange(100, 200).And.All.InRange(10, 4999));
            Assert.That(prompt[..(prompt.Length / 2)], Is.EqualTo(made[0].Turns[0].Input.Take(prompt.Length / 2)).Or.Length.GreaterThan(made[0].Turns[0].Input.Length / 2));
            Assert.That(conversation.Turns[0].OutputTokens, Is.InRange(5, 9));
        }

        Assert.That(made.Select(conversation => conversation.Turns[0].Input[^1]).Distinct().Count(), Is.GreaterThan(40));
    }

    [Test]
    public void The_same_seed_makes_the_same_load()
    {
        Conversation[] once = Make(7), again = Make(7), other = Make(8);

        Assert.That(again.Select(Flat), Is.EqualTo(once.Select(Flat)));
        Assert.That(other.Select(Flat), Is.Not.EqualTo(once.Select(Flat)));

        static Conversation[] Make(int seed) => [.. new AgentWorkload(32, 3, new(4, 8), new(2, 3)).Make(5, new TokenSource(10, 5000, seed), new Random(seed))];
        static int[] Flat(Conversation conversation) => [.. conversation.Turns.SelectMany(turn => turn.Input)];
    }

    [Test]
    public void Agents_begin_with_the_system_prompt_and_add_a_little_each_turn()
    {
        Conversation[] made = [.. new AgentWorkload(64, 4, new(10, 20), new(5, 5)).Make(3, new TokenSource(10, 5000, 1), new Random(1))];

        foreach (Conversation conversation in made)
        {
            Assert.That(conversation.Turns, Has.Count.EqualTo(4));
            Assert.That(conversation.Turns[0].Input[..64], Is.EqualTo(made[0].Turns[0].Input[..64]));
            Assert.That(conversation.Turns.Skip(1).Select(turn => turn.Input.Length), Has.All.InRange(10, 20));
        }
    }
}
